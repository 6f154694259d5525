# SPDX-License-Identifier: Apache-2.0
"""README.md's set-up, typed word for word on two fresh Debians with systemd, up to a VM that has moved with its disk.

What README.md takes for granted is made first: names, a network, ssh from host-a, and a VM with an image file. QEMU
emulates the CPU and runs without device control groups: a container may not have them.
"""

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from lab import packages, stamp
from lab.container import ARCHIVES, CACHE, TOOLS, Container
from lab.guest import image
from lab.installed import DEB
from lab.paths import REPOSITORY
from lab.verify import verify
from lab.vm import DISK, NBD_SOCKET, Vm
from lab.waiting import wait_for

README = REPOSITORY / "README.md"
SECTION = "## Set it up on two hosts"
MOST_COMMANDS = 12

HOSTS = {"host-a": "192.0.2.1", "host-b": "192.0.2.2"}  # as in README.md
DISK_NAME = "root"  # what the stamps in the disk are made for, and the guest is told as its serial number
DISK_SIZE = 64 << 20
VOLUME = "vm-vda"
IMAGE = "/var/lib/libvirt/images/vm.qcow2"

# A compute node as its installer leaves it. Recommended packages are left out to save time: so README.md must name all
# that it needs.
BASE = ["systemd-sysv", "dbus", "openssh-server", "iproute2"]
NAMED = "qemu-system-x86 qemu-utils libvirt-clients"

APT_CONF = """\
APT::Install-Recommends "false";
Dpkg::Options {"--force-confold";}
"""

QEMU_CONF = """\
cgroup_controllers = []
namespaces = []
"""

FILE_DISK = """\
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{image}'/>
      <target dev='vda' bus='virtio'/>
      <serial>{serial}</serial>
    </disk>
"""


# ---- what README.md says


def steps():
    """(hosts, command) for each command of the section, in order. A code block belongs to the text before it, and that
    names the hosts; a command goes on while its shell would ask for more."""
    text = README.read_text().partition(f"{SECTION}\n")[2].partition("\n## ")[0]
    found = []
    hosts = []
    for paragraph in re.split(r"\n\n(?! {4})", text):
        words, _, block = paragraph.partition("\n\n    ")
        if words.startswith("**"):
            hosts = [host for host in HOSTS if re.search(rf"\bon {host}\b|\bon both hosts\b", words)]
        if block and hosts:
            found += [(hosts, command) for command in commands(block.replace("\n    ", "\n"))]
    return found


def commands(block):
    """The commands of a code block: lines are taken together until the shell has a whole command."""
    found = []
    lines = []
    for line in block.splitlines():
        lines.append(line)
        text = "\n".join(lines)
        complete = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        # An unfinished here-document is only a warning to bash.
        if complete.returncode == 0 and not complete.stderr and not line.endswith("\\"):
            found.append(text)
            lines = []
    assert not lines, f"README.md: not a whole command: {lines}"
    return found


def test_the_set_up_takes_few_commands():
    typed = [(host, command) for hosts, command in steps() for host in hosts]
    print("\n".join(f"{host}# {command}" for host, command in typed))
    assert {host for host, _ in typed} == set(HOSTS)
    assert 8 < len(typed) <= MOST_COMMANDS


# ---- two bare hosts


class Machine:
    """A host as the class of the lab's VMs wants it."""

    def __init__(self, name, container):
        self.name = name
        self.container = container

    @property
    def root(self):
        return self.container.live_root

    def run(self, command, **options):
        return self.container.run(command, **options)

    def virsh(self, *arguments, **options):
        return self.run(["virsh", "--quiet", *arguments], **options).stdout.strip()

    def type(self, command):
        """Runs a command as root's shell would, in root's home, and returns all that is shown."""
        began = time.monotonic()
        done = self.run(["bash", "-c", f"cd /root\n{command}"], input="y\n", check=False)
        print(f"{self.name}# {command}   ({time.monotonic() - began:.1f} s)\n{done.stdout}{done.stderr}")
        assert done.returncode == 0, f"{self.name}# {command}\nstatus {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


def make_bare(name, container):
    """Names, ssh, and an apt that has what it will need, for the network ends at the other host."""
    container.file("/etc/hostname").write_text(f"{name}\n")
    container.file("/etc/hosts").write_text(
        "127.0.0.1 localhost\n" + "".join(f"{address} {host}\n" for host, address in HOSTS.items())
    )
    container.file("/etc/apt/apt.conf.d/bare").write_text(APT_CONF)
    container.run(["sh", "-c", "rm -f /etc/ssh/ssh_host_* && ssh-keygen -q -A"])
    container.run(["apt-get", "-q", "update"])
    container.copy_in(DEB, "/root/vmferry.deb")
    container.run(["apt-get", "-y", "-q", "--download-only", "install", "/root/vmferry.deb", *NAMED.split()])
    for package in ARCHIVES.glob("*.deb"):
        os.link(package, container.file(f"/var/cache/apt/archives/{package.name}"))
    libvirt = container.file("/etc/libvirt")
    libvirt.mkdir(exist_ok=True)
    (libvirt / "qemu.conf").write_text(QEMU_CONF)


def trust(machines):
    """root of host-a may log in to both."""
    first = machines[0]
    first.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519"])
    key = (first.root / "root/.ssh/id_ed25519.pub").read_text()
    for machine in machines:
        folder = machine.root / "root/.ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "authorized_keys").write_text(key)
        host_key = (machine.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2]
        with open(first.root / "root/.ssh/known_hosts", "a") as known:
            known.write(f"{machine.name} {' '.join(host_key)}\n")


@pytest.fixture(scope="module")
def hosts():
    packages.install_missing(TOOLS)
    assert DEB.exists(), f"{DEB} is not built: run mvn -B package"
    with Container(CACHE / "host-a", BASE) as a, Container(CACHE / "host-b", BASE) as b:
        machines = [Machine("host-a", a), Machine("host-b", b)]
        for machine in machines:
            make_bare(machine.name, machine.container)
            machine.container.boot()
        a.link(b, *(f"{HOSTS[machine.name]}/24" for machine in machines))
        trust(machines)
        yield SimpleNamespace(a=machines[0], b=machines[1], both=machines, note=lambda text: None)


def define_vm(hosts):
    """An operator's VM with an image file, and what it boots from on both hosts."""
    guest = image.build()
    vm = Vm(hosts, [DISK_NAME])
    xml = vm.domain_xml()
    for machine in hosts.both:
        (machine.root / "run/lab").mkdir()
        for file in (guest.kernel, guest.initramfs):
            place = machine.root / "var/lib/libvirt/images" / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
            xml = xml.replace(str(file), f"/var/lib/libvirt/images/{file.name}")
    disk = DISK.format(volume=DISK_NAME, socket=NBD_SOCKET, letter="a")
    assert disk in xml
    xml = xml.replace(disk, FILE_DISK.format(image=IMAGE, serial=DISK_NAME))
    raw = hosts.a.root / "run/lab/vm.raw"
    stamp.prefill(raw, DISK_NAME, DISK_SIZE)
    hosts.a.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "/run/lab/vm.raw", IMAGE])
    raw.unlink()
    (hosts.a.root / "run/lab/vm.xml").write_text(xml)
    hosts.a.virsh("define", "/run/lab/vm.xml")
    return vm


# ---- the way


@pytest.mark.flaky(reruns=0)  # the hosts are bare only once: a second run would hide why the first one ended
def test_a_new_operator_gets_a_migrated_vm(hosts):
    vm = None
    for where, command in steps():
        machines = [machine for machine in hosts.both if machine.name in where]
        if "domain adopt" in command:
            vm = define_vm(hosts)
            image_before = (hosts.a.root / IMAGE.lstrip("/")).read_bytes()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda machine, command=command: machine.type(command), machines))
        if command.startswith("virsh start"):
            vm.await_stat(hosts.a)
            check_before_the_move(hosts)
    assert vm.state(hosts.a) is None
    assert vm.state(hosts.b) == "running (migrated)"
    assert (hosts.a.root / IMAGE.lstrip("/")).read_bytes() == image_before, "the image stays as it was"
    [stat] = vm.await_stat(hosts.b)
    assert int(stat["writes"]) > 0
    sums = vm.sum(hosts.b)
    vm.assert_consistent(hosts.b)
    verdict = verify(f"nbd+unix:///{VOLUME}?socket={hosts.b.root}{NBD_SOCKET}", DISK_NAME)
    assert (verdict.broken, verdict.digest) == (0, sums[DISK_NAME])
    assert "SERVING" in hosts.b.run(["vmferry", "volume", "list"]).stdout
    vm.command(hosts.b, "go")
    wait_for(
        lambda: VOLUME not in hosts.a.run(["vmferry", "volume", "list"]).stdout, 30, "host-a has nothing any more"
    )


def test_the_journals_have_the_move_under_one_number(hosts):
    """By the search that docs/operations.md names."""
    domain = hosts.b.virsh("domuuid", "vm")
    search = f"journalctl -u vmferry-relay -u vmferry-agent --grep migration={domain}"
    assert search.replace(domain, "UUID") in (REPOSITORY / "docs/operations.md").read_text()
    for machine in hosts.both:
        lines = machine.type(f"{search} --no-pager -o cat").splitlines()
        of_the_move = [line for line in lines if " peer=host-" in line]
        assert len(of_the_move) >= 2
        assert all(f" volume={VOLUME} epoch=" in line for line in lines)


def check_before_the_move(hosts):
    """On hosts that are right nothing is found."""
    for machine in hosts.both:
        report = wait_for(lambda machine=machine: contented(machine), 30, f"doctor on {machine.name} finds nothing", 1)
        assert re.search("^ok +peer .* is connected, both ways", report, re.M), report
    report = hosts.a.run(["vmferry", "domain", "check", "vm", "--to", "host-b"]).stdout
    assert set(levels(report)) == {"ok"}, report


def contented(machine):
    report = machine.run(["vmferry", "doctor"], check=False).stdout
    if set(levels(report)) == {"ok"}:
        return report
    print(report)
    return None


def levels(report):
    return re.findall(r"^(ok|warn|FAIL)\b", report, re.M)


# ---- doctor, where something is broken


def finding(machine, subject):
    """(level, text with why and mend) of what doctor says of a subject."""
    report = machine.run(["vmferry", "doctor"], check=False).stdout
    found = re.findall(rf"^(\S+) +{subject} +(.*(?:\n {{20}}.*)*)", report, re.M)
    return [(level, text) for level, text in found if level != "ok"]


BROKEN = {
    "libvirtd is stopped": (
        "systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket",
        "libvirt", "FAIL", "systemctl start libvirtd",
        None,
    ),
    "the hook is gone": (
        "mv /etc/libvirt/hooks/qemu.d/vmferry /root/hook",
        "hook", "FAIL", "reinstall the package",
        "mv /root/hook /etc/libvirt/hooks/qemu.d/vmferry && systemctl reload libvirtd",
    ),
    "the hook can't be run": (
        "chmod 644 /etc/libvirt/hooks/qemu.d/vmferry",
        "hook", "FAIL", "chmod 755 /etc/libvirt/hooks/qemu.d/vmferry && systemctl reload libvirtd",
        None,
    ),
    "QEMU may not open the socket": (
        "chgrp root /run/vmferry/nbd.sock",
        "socket", "FAIL", "systemctl restart vmferry-relay",
        "systemctl restart vmferry-relay",
    ),
    "the agent is stopped": (
        "systemctl stop vmferry-agent",
        "agent", "FAIL", "systemctl start vmferry-agent",
        None,
    ),
    "the relay is stopped": (
        "systemctl stop vmferry-relay",
        "relay", "FAIL", "systemctl start vmferry-relay",
        None,
    ),
    "the relay can't read its key": (
        "chown root /etc/vmferry/pki/node.key",
        "certificates", "FAIL", "chown vmferry /etc/vmferry/pki/node.key && systemctl restart vmferry-relay",
        None,
    ),
    "everybody reads the key": (
        "chmod 644 /etc/vmferry/pki/node.key",
        "certificates", "FAIL", "chmod 600 /etc/vmferry/pki/node.key",
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_doctor_names_what_is_broken_and_its_words_mend_it(hosts, what):
    """On host-a, which has no guest any more. What mends it is what doctor says, unless that is no command."""
    breaking, subject, level, mend, remedy = BROKEN[what]
    hosts.a.type(breaking)
    found = wait_for(lambda: finding(hosts.a, subject), 30, f"doctor notices that {what}", 1)
    assert [(level, mend)] == [(each, mend) for each, text in found if mend in text], found
    hosts.a.type(remedy or mend)
    wait_for(lambda: contented(hosts.a), 60, "doctor finds nothing any more", 1)


def test_doctor_names_a_peer_that_is_gone(hosts):
    hosts.b.type("systemctl stop vmferry-agent && ip link set eth0 down")
    try:
        found = wait_for(lambda: finding(hosts.a, "peer"), 60, "doctor notices that host-b is gone", 1)
        assert found[0][0] == "FAIL" and "host-b at 192.0.2.2:7820" in found[0][1]
    finally:
        hosts.b.type("ip link set eth0 up && systemctl start vmferry-agent")
    wait_for(lambda: contented(hosts.a), 60, "doctor finds nothing any more", 1)


def test_domain_check_names_what_would_refuse_the_way_back(hosts):
    check = ["vmferry", "domain", "check", "vm", "--to", "host-a"]
    assert set(levels(hosts.b.run(check).stdout)) == {"ok"}
    hosts.a.type("systemctl stop vmferry-agent")
    try:
        refused = hosts.b.run(check, check=False)
        assert refused.returncode == 1
        assert re.search("^FAIL +host-a .*agent", refused.stdout, re.M), refused.stdout
    finally:
        hosts.a.type("systemctl start vmferry-agent")
