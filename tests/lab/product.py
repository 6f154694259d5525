# SPDX-License-Identifier: Apache-2.0
"""vmferry on both hosts, from its package: certificates, configuration, relay, agent and control API.

All that the lab knows of the product's command line, configuration keys and socket paths is in this file.
"""

import http.client
import json
import shutil
import socket

from . import stamp
from .host import can_connect
from .installed import Installed
from .verify import verify
from .vm import NBD_SOCKET
from .waiting import patient, wait_for

COMMAND = "/usr/bin/vmferry"
CONFIG = "/etc/vmferry/vmferry.yaml"
PKI = "/etc/vmferry/pki"
PEER_PORT = 7820
SOCKETS = {"relay": "/run/vmferry/relay.sock", "agent": "/run/vmferry/agent.sock"}
AUTHORITY = "/run/lab/authority"
IMPORTS = "/run/lab"  # where images wait to be imported

START_TIMEOUT = 30  # seconds; a JVM on a busy machine
CONTROL_TIMEOUT = 30  # seconds per request

# What is added to the package's default configuration.
CONFIG_YAML = """\
node: {node}
listen: {address}:{port}
"""
PEER_YAML = """\
peers:
  {peer}: {address}:{port}
"""


class ControlError(Exception):
    """An error answer of the control API: `code` and `message` are the product's."""

    def __init__(self, status, problem):
        super().__init__(f"{status} {problem.get('code')}: {problem.get('message')}")
        self.status = status
        self.code = problem.get("code")
        self.message = problem.get("message")


class Control:
    """JSON over HTTP on one of a host's control sockets."""

    def __init__(self, host, name):
        self.path = host.root / SOCKETS[name].lstrip("/")

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body):
        return self.request("POST", path, body)

    def put(self, path, body):
        return self.request("PUT", path, body)

    def delete(self, path):
        return self.request("DELETE", path)

    def request(self, method, path, body=None):
        connection = _UnixConnection(str(self.path))
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            content = json.loads(text) if text.strip() else None
        finally:
            connection.close()
        if answer.status >= 400:
            raise ControlError(answer.status, content or {"message": "no body"})
        return content


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=patient(CONTROL_TIMEOUT))
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Node:
    """vmferry on one host."""

    def __init__(self, host, installed):
        self.host = host
        self._installed = installed
        self._services = {name: host.service(name) for name in SOCKETS}
        self.relay = Control(host, "relay")
        self.agent = Control(host, "agent")

    def begin(self, name, java_options=""):
        """Starts "relay" or "agent" as its unit does, with further options of the JVM, without waiting for it."""
        self._services[name].start(self._installed.unit(f"vmferry-{name}").command(java_options))

    def await_ready(self, name):
        service = self._services[name]
        path = self.host.root / SOCKETS[name].lstrip("/")
        wait_for(
            lambda: service.check() and can_connect(path),
            START_TIMEOUT,
            f"{name} on {self.host.name} listens: see {service.log}",
        )

    def start(self, name):
        self.begin(name)
        self.await_ready(name)

    def stop(self, name):
        self._services[name].stop()

    def kill(self, name):
        """As a crash would: SIGKILL."""
        self._services[name].kill()

    def service(self, name):
        return self._services[name]

    def running(self, name):
        return self._services[name].running

    def pid(self, name):
        return self._services[name].pid

    def cli(self, *arguments, **options):
        """Runs `vmferry ARGUMENTS` on this host as root and returns its output."""
        return self.host.run([COMMAND, *arguments], **options).stdout

    def volume(self, name):
        """What the relay says of one volume, as a dictionary; None if it doesn't know it."""
        volumes = self.relay.get("/v1/status")["volumes"]
        return next((volume for volume in volumes if volume["name"] == name), None)


class Product:
    """`with Product(lab) as storage:` has relay and agent running on both hosts, with the hook installed.

    With `services=["relay"]` nobody watches libvirt, as when the agent is down.
    """

    def __init__(self, lab, services=("relay", "agent")):
        self._lab = lab
        self._services = services
        self._installed = Installed()
        self.a, self.b = self.nodes = (Node(lab.a, self._installed), Node(lab.b, self._installed))

    def node(self, host):
        return self.a if host is self._lab.a else self.b

    def __enter__(self):
        for node in self.nodes:
            self._installed.install(node.host)
            node.host.reload_libvirtd()
            self.configure(node)
        self._issue_certificates()
        for name in self._services:
            for node in self.nodes:
                node.begin(name)
            for node in self.nodes:
                node.await_ready(name)
        return self

    def __exit__(self, *exception):
        # The relay's guests may still run: an orderly end could wait for them.
        for node in self.nodes:
            for name in ("agent", "relay"):
                node.kill(name)

    def create_volume(self, name, size, fill=500):
        """Makes a prefilled volume on the first host. As `vmferry volume import` does, without a JVM's start."""
        image = self._lab.a.root / IMPORTS.lstrip("/") / f"{name}.raw"
        stamp.prefill(image, name, size, fill)
        try:
            self.a.relay.post("/v1/volumes", {"name": name, "size": size})
            export = f"nbd+unix:///{name}?socket={NBD_SOCKET}"
            options = ["-n", "--target-is-zero", "-f", "raw", "-O", "raw"]
            self.a.host.run(["qemu-img", "convert", *options, f"{IMPORTS}/{name}.raw", export])
        finally:
            image.unlink()

    def verify(self, name, node=None):
        """Reads the whole volume through the NBD socket of a node (the first unless said)."""
        path = (node or self.a).host.root / NBD_SOCKET.lstrip("/")
        return verify(f"nbd+unix:///{name}?socket={path}", name)

    def set_pre_copy(self, mode):
        """What standbys that are attached from now on copy before the handover, at both nodes."""
        for node in self.nodes:
            self.configure(node, extra=f"copy:\n  pre-copy: {mode}\n")
            node.relay.post("/v1/reload", None)

    def configure(self, node, peers=True, extra=""):
        """Writes a node's configuration as README.md says; without PEERS it knows no other node. EXTRA lines go to its
        end. Processes read it at their start."""
        host = node.host
        other = next(each.host for each in self.nodes if each is not node)
        text = self._installed.default_config + CONFIG_YAML.format(node=host.name, address=host.address, port=PEER_PORT)
        if peers:
            text += PEER_YAML.format(peer=other.name, address=other.address, port=PEER_PORT)
        (host.root / CONFIG.lstrip("/")).write_text(text + extra)

    def _issue_certificates(self):
        """One authority, made on the first host; each node gets its files where its configuration says."""
        authority = self.a.host.root / AUTHORITY.lstrip("/")
        self.a.cli("pki", "init", AUTHORITY)
        for node in self.nodes:
            name = node.host.name
            self.a.cli("pki", "issue", AUTHORITY, name)
            own = node.host.root / PKI.lstrip("/")
            for issued, installed in (("ca.crt", "ca.crt"), (f"{name}.crt", "node.crt"), (f"{name}.key", "node.key")):
                shutil.copy(authority / issued, own / installed)
            node.host.run(["chown", "vmferry", f"{PKI}/node.key"])
