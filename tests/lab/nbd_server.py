# SPDX-License-Identifier: Apache-2.0
"""Plain NBD servers that know nothing of vmferry: nbdkit and qemu-nbd, on a Unix socket or a port of this machine."""

import socket
import subprocess
from pathlib import Path

from .waiting import wait_for

START_TIMEOUT = 20  # seconds


class NbdServer:
    """`with NbdServer.nbdkit(folder, image) as server:` serves IMAGE at `server.uri`; may be killed and started again."""

    def __init__(self, folder, command, uri, ready):
        self._folder = Path(folder)
        self._command = [str(part) for part in command]
        self._ready = ready
        self._process = None
        self.uri = uri

    @classmethod
    def nbdkit(cls, folder, image, *arguments, filters=(), options=(), port=None, scheme="nbd"):
        """ARGUMENTS are those of the filters, OPTIONS nbdkit's own."""
        filters = [f"--filter={name}" for name in filters]
        if port:
            where, uri, ready = ["--ipaddr", "127.0.0.1", "--port", port], f"{scheme}://localhost:{port}/", port
        else:
            ready = Path(folder) / "server.sock"
            where, uri = ["--unix", ready], f"nbd+unix:///?socket={ready}"
        command = ["nbdkit", "--foreground", *where, *options, *filters, "file", image, *arguments]
        return cls(folder, command, uri, ready)

    @classmethod
    def qemu_nbd(cls, folder, image, export="disk"):
        where = Path(folder) / "server.sock"
        command = ["qemu-nbd", "--persistent", "--read-only", "--format=raw", "-x", export, "-k", where, image]
        return cls(folder, command, f"nbd+unix:///{export}?socket={where}", where)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    def start(self):
        if isinstance(self._ready, Path):
            self._ready.unlink(missing_ok=True)
        with open(self._folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._listens, START_TIMEOUT, f"{self._command[0]} listens: see {self._folder}/server.log")

    def stop(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended: see {self._folder}/server.log")
        if isinstance(self._ready, Path):
            return self._ready.exists()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._ready)) == 0


def certificates(folder, name="localhost"):
    """An authority and a server's certificate for NAME, where nbdkit looks for them. Gives the authority's file."""
    folder = Path(folder)
    folder.mkdir()
    ca, key, request = folder / "ca-cert.pem", folder / "ca-key.pem", folder / "request.pem"
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
             "-subj", "/CN=authority", "-keyout", key, "-out", ca)  # fmt: skip
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
             "-keyout", folder / "server-key.pem", "-out", request)  # fmt: skip
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName=DNS:{name}\n")
    _openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", 2,
             "-extfile", extensions, "-out", folder / "server-cert.pem")  # fmt: skip
    return ca


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
