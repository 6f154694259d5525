# SPDX-License-Identifier: Apache-2.0
"""A Debian of its own (container.py) that vmferry's package is installed on: what its operator types there, and what a test asks."""

import re

from .installed import DEB
from .paths import REPOSITORY

RPM = REPOSITORY / "packaging/target/vmferry.rpm"
UNITS = ["vmferry-relay", "vmferry-agent"]

CONFIG = "/etc/vmferry/vmferry.yaml"
NBD_SOCKET = "/run/vmferry/nbd.sock"
HOOK = "/etc/libvirt/hooks/qemu.d/vmferry"
QEMU_USER = "libvirt-qemu"
VOLUME = "vm1"
EXPORT = f"nbd+unix:///{VOLUME}?socket={NBD_SOCKET}"

SET_UP = f"""\
vmferry pki init /root/ca
vmferry pki issue /root/ca host-a
install -m 644 /root/ca/ca.crt /etc/vmferry/pki/ca.crt
install -m 644 /root/ca/host-a.crt /etc/vmferry/pki/node.crt
install -m 400 -o vmferry /root/ca/host-a.key /etc/vmferry/pki/node.key
sed -i 's/^#node: .*/node: host-a/' {CONFIG}
"""


def assert_built():
    for package in (DEB, RPM):
        assert package.exists(), f"{package} is not built: run mvn -B package"


def set_up(node):
    """Boots it, with certificates and a name; relay and agent run."""
    node.boot()
    node.run(["sh", "-ec", SET_UP])
    node.run(["systemctl", "start", *UNITS])


def create_volume(node):
    """With a pattern, written as QEMU's user."""
    node.run(["vmferry", "volume", "create", VOLUME, "--size", "64M"])
    written = node.run(["qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", "-c", "flush", EXPORT], user=QEMU_USER)
    assert "wrote 1048576" in written.stdout


class Guest:
    """A process of QEMU's user that has the volume open, as a guest's QEMU has."""

    def __init__(self, node):
        self._node = node

    def __enter__(self):
        self._process = self._node.begin(["qemu-io", "-f", "raw", EXPORT], user=QEMU_USER)
        self.read()
        return self

    def __exit__(self, *exception):
        self._process.stdin.close()
        self._process.wait(20)

    def read(self):
        self._process.stdin.write("read -P 7 0 4k\n")
        self._process.stdin.flush()
        while True:
            line = self._process.stdout.readline()
            assert line, "qemu-io ended"
            found = re.search(r"read \d+(?=/)|.*(?:failed|error).*", line)
            if found:
                return found.group()


def read_pattern(node):
    """How many bytes of what was written are not there any more."""
    done = node.run(["qemu-io", "-f", "raw", "-c", "read -P 7 0 1M", EXPORT], user=QEMU_USER)
    assert "read 1048576" in done.stdout
    return done.stdout.count("Pattern verification failed")


def show(node, unit, key):
    return node.run(["systemctl", "show", "--value", f"--property={key}", unit]).stdout.strip()


def journal(node, unit):
    return node.run(["journalctl", "--no-pager", "-o", "cat", "-u", unit]).stdout


def archive_of(node):
    """The archive that the launcher names for the Java it finds."""
    return node.run(["sh", "-c", ". /usr/share/vmferry/java.sh; echo $archive"]).stdout.strip()


def maps(node, pid, file):
    return file in node.run(["cat", f"/proc/{pid}/maps"]).stdout


def usec(node, unit, key):
    return int(show(node, unit, key))


def drop_in(node, unit, line):
    """Changes a setting of a unit, as `systemctl edit` would; None takes it back."""
    folder = node.file(f"/etc/systemd/system/{unit}.service.d")
    folder.mkdir(parents=True, exist_ok=True)
    if line:
        (folder / "test.conf").write_text(f"[Service]\n{line}\n")
    else:
        (folder / "test.conf").unlink()
        folder.rmdir()
    node.run(["systemctl", "daemon-reload"])
