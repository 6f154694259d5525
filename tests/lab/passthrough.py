# SPDX-License-Identifier: Apache-2.0
"""A pass-through NBD server instead of vmferry: all data stays on the first host, the second reaches it over the WAN.

It proves the lab without the product, and gives the downtime that a migration has without any work on disks.
"""

from . import stamp
from .host import can_connect
from .verify import verify
from .vm import NBD_SOCKET
from .waiting import wait_for

VOLUMES = "/var/lib/vmferry/passthrough"
PORT = 10809


class Passthrough:
    """`with Passthrough(lab) as storage:` has NBD servers on both hosts, at the product's address or another one."""

    def __init__(self, lab, socket=NBD_SOCKET):
        self.socket = socket
        self._data, self._other = lab.a, lab.b
        self._services = []

    def __enter__(self):
        self.start()
        return self

    def start(self):
        # Two servers over the same files: nbdkit listens either on a Unix socket or on TCP.
        (self._data.root / VOLUMES.lstrip("/")).mkdir(parents=True, exist_ok=True)
        files = ["file", f"dir={VOLUMES}"]
        self._serve(self._data, "nbd-local", ["--unix", self.socket, *files])
        self._serve(self._data, "nbd-wan", ["--ipaddr", self._data.address, "--port", PORT, *files])
        through = ["nbd", f"hostname={self._data.name}", f"port={PORT}", "dynamic-export=true"]
        self._serve(self._other, "nbd-local", ["--unix", self.socket, *through])
        for host in (self._data, self._other):
            path = host.root / self.socket.lstrip("/")
            wait_for(lambda: can_connect(path), 5, f"nbdkit listens on {host.name}")  # noqa: B023

    def __exit__(self, *exception):
        # SIGTERM would wait for clients to leave, and a QEMU does not leave; nothing here is worth an orderly end.
        for service in self._services:
            service.kill()
        # A killed nbdkit leaves its socket, and the next one would not start on it.
        for host in (self._data, self._other):
            (host.root / self.socket.lstrip("/")).unlink(missing_ok=True)

    def create_volume(self, name, size, fill=500):
        stamp.prefill(self.image(name), name, size, fill)

    def image(self, name):
        """The volume's raw image, as a path outside the hosts."""
        return self._data.root / VOLUMES.lstrip("/") / name

    def verify(self, name):
        return verify(self.image(name), name)

    def _serve(self, host, name, arguments):
        (host.root / "run/vmferry").mkdir(exist_ok=True)
        self._services.append(host.service(name).start(["nbdkit", "--foreground", *arguments]))
