# SPDX-License-Identifier: Apache-2.0
"""Relays on this machine without hosts, namespaces or agents: for measurements, where nothing else may take part."""

import re
import shutil
import subprocess
from pathlib import Path

from .host import can_connect
from .installed import JAR
from .paths import REPOSITORY
from .product import PEER_PORT, START_TIMEOUT, Control
from .waiting import wait_for

STOP_TIMEOUT = 20  # seconds from SIGTERM; the relay gives its clients five
CLIENTS_TIMEOUT = 30  # seconds; a slow disk may still answer what a client has asked

UNIT = REPOSITORY / "packaging/src/common/vmferry-relay.service"

CONFIG_YAML = """\
node: {name}
listen: 127.0.0.1:{port}
tls:
  ca: {folder}/ca.crt
  certificate: {folder}/{name}.crt
  key: {folder}/{name}.key
paths:
  run: {folder}/run/vmferry
  state: {state}
log:
  level: warn
"""


def shipped_options():
    """Those of the JVM that a relay of a compute node is started with, but for a folder that it has there."""
    [options] = re.findall(r'VMFERRY_JAVA_OPTS=([^"]*)"', UNIT.read_text())
    return [option for option in options.split() if not option.startswith("-Djava.io.tmpdir")]


class Authority:
    """Certificates for the relays of one measurement, made with the program's own command."""

    def __init__(self, folder):
        self._folder = folder
        self._command("init")

    def issue(self, name, folder):
        self._command("issue", name)
        for file in ("ca.crt", f"{name}.crt", f"{name}.key"):
            shutil.copy(self._folder / file, folder / file)

    def _command(self, action, *arguments):
        command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(JAR)]
        subprocess.run([*command, "pki", action, str(self._folder), *arguments], check=True, capture_output=True)


class LocalRelay:
    """`with LocalRelay(...) as relay:` runs one; PEERS maps the other nodes' names to their ports on this machine.

    Volumes are in STATE, or else below FOLDER, where everything else is.
    """

    def __init__(self, name, folder, authority, port=PEER_PORT, peers=None, jvm_options=(), state=None):
        self.name = name
        self.folder = Path(folder)
        self.state_folder = Path(state) if state else self.folder / "state"
        self.root = self.folder  # as of a host: Control finds /run/vmferry/relay.sock below it
        (self.folder / "run/vmferry").mkdir(parents=True)
        authority.issue(name, self.folder)
        text = CONFIG_YAML.format(name=name, port=port, folder=self.folder, state=self.state_folder)
        if peers:
            text += "peers:\n" + "".join(f"  {node}: 127.0.0.1:{at}\n" for node, at in peers.items())
        (self.folder / "vmferry.yaml").write_text(text)
        self._options = [*shipped_options(), *jvm_options]
        self._process = None
        self.control = Control(self, "relay")
        self.socket = self.folder / "run/vmferry/nbd.sock"

    def __enter__(self):
        self.start()
        return self

    def start(self):
        command = ["java", *self._options, "-jar", str(JAR), "relay", "--config", str(self.folder / "vmferry.yaml")]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(self._listens, START_TIMEOUT, f"relay {self.name} listens: see {self.folder}/log")
        except BaseException:
            self.kill()
            raise

    def kill(self):
        """As the kernel does: nothing is said, nothing is written."""
        self._process.kill()
        self._process.wait()

    def clear(self):
        """Deletes all volumes and lifts the cap. A test that failed may have left a client, or no relay: then it starts anew."""
        if self._process.poll() is None:
            self.control.put("/v1/rate", {"bytesPerSecond": None})
            volumes = self.control.get("/v1/status")["volumes"]
            if not any(volume["clients"] for volume in volumes):
                for volume in volumes:
                    self.control.delete(f"/v1/volumes/{volume['name']}")
                return
        self.kill()
        for folder in (self.state_folder, self.folder / "run/vmferry"):
            shutil.rmtree(folder)
            folder.mkdir()
        self.start()

    def __exit__(self, *exception):
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self):
        return self._process.pid

    def uri(self, volume):
        return f"nbd+unix:///{volume}?socket={self.socket}"

    def data_file(self, volume):
        return self.state_folder / "volumes" / volume / "data"

    def create_volume(self, name, size):
        self.control.post("/v1/volumes", {"name": name, "size": size})

    def fetch_volume(self, name, uri, tls_ca=None):
        """A volume whose content comes from an NBD server."""
        self.control.post("/v1/fetched-volumes", {"name": name, "from": uri, "tlsCa": tls_ca})

    def delete_volume(self, name):
        """As soon as nobody has it open: the relay hears later than a client's end that it is gone."""
        self.await_closed(name)
        self.control.delete(f"/v1/volumes/{name}")

    def await_closed(self, name):
        wait_for(lambda: self.volume(name)["clients"] == 0, CLIENTS_TIMEOUT, f"nobody has {name} open")

    def volume(self, name):
        """What the control API says of a volume."""
        volumes = self.control.get("/v1/status")["volumes"]
        return next(volume for volume in volumes if volume["name"] == name)

    def state(self, name):
        return self.volume(name)["state"]

    def linked(self):
        return all(peer["up"] for peer in self.control.get("/v1/status")["peers"])

    def _listens(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"relay {self.name} ended with status {self._process.returncode}: see {self.folder}/log")
        return can_connect(self.folder / "run/vmferry/relay.sock")
