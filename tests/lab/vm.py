# SPDX-License-Identifier: Apache-2.0
"""A VM of the lab: its domain XML, its console, its migration, and the numbers its load prints."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from .guest import image
from .heartbeat import Heartbeat
from .host import only_child
from .waiting import patient, wait_for

NBD_SOCKET = "/run/vmferry/nbd.sock"  # the same on every host
MEMORY_MIB = 256
BOOT_TIMEOUT = 60  # seconds; 2-3 on an idle machine
ANSWER_TIMEOUT = 90  # seconds; `sum` waits for I/O in flight, and that for the disk of a busy machine
MIGRATION_TIMEOUT = 120  # seconds; 1-3 on an idle machine
LAST_WORDS = 8  # lines of a console that an error message quotes

# The kind of the last line that the load answers to a command, where it isn't the command's name.
ANSWERS = {"sum": "sums", "digest": "sums", "go": "going"}

DISK = """\
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none' discard='unmap' error_policy='stop' rerror_policy='stop'/>
      <source protocol='nbd' name='{volume}'>
        <host transport='unix' socket='{socket}'/>
      </source>
      <target dev='vd{letter}' bus='virtio'/>
      <serial>{volume}</serial>
    </disk>
"""

# The size of the RAM is no multiple of 256 KiB on purpose. QEMU 7.2 without KVM has a fast way to collect dirty pages
# of RAM with such a size that leaves the emulated CPU's TLB as it is: later writes to these pages are not seen, the
# destination gets old pages, and the guest crashes there or forgets what it has written.
MEMORY_BYTES = (MEMORY_MIB << 20) + (8 << 10)

DOMAIN = """\
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 {settings}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
{disks}    <controller type='usb' model='none'/>
    <serial type='unix'>
      <source mode='bind' path='{console_socket}'/>
      <log file='{console_log}' append='on'/>
      <target port='0'/>
    </serial>
    <serial type='unix'>
      <source mode='bind' path='{heartbeat_socket}'/>
      <target port='1'/>
    </serial>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-m'/>
    <qemu:arg value='size={memory_bytes}B'/>
    <qemu:arg value='-object'/>
    <qemu:arg value='memory-backend-ram,id=odd,size={memory_bytes}'/>
    <qemu:arg value='-machine'/>
    <qemu:arg value='memory-backend=odd'/>
  </qemu:commandline>
</domain>
"""


class Migration:
    """`virsh migrate` of a VM, under way; ended with its `with` block if it isn't over by then."""

    def __init__(self, name, source, destination, options, keepalive):
        self._name = name
        self._source = source
        self._output = None  # until it has ended
        keepalive = ["--keepalive-interval", str(keepalive), "--keepalive-count", "1"] if keepalive else []
        command = ["virsh", "--quiet", "--connect", "qemu:///system", *keepalive, "migrate", "--live", *options, name]
        self._process = source.popen(
            [*command, f"qemu+tcp://{destination.name}/system"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._process.poll() is None:
            self._source.run(["virsh", "--quiet", "domjobabort", self._name], check=False)
            self._process.wait(MIGRATION_TIMEOUT)

    def succeed(self):
        """Waits for the end."""
        status, output = self._wait()
        if status:
            raise RuntimeError(f"{self._name}: migration from {self._source.name} failed: {output}")

    def fail(self):
        """Waits for the end, which must be a failure, and returns what the person who typed it reads."""
        status, output = self._wait()
        if not status:
            raise RuntimeError(f"{self._name}: migration from {self._source.name} did not fail")
        return output

    @property
    def ended(self):
        return self._process.poll() is not None

    @property
    def result(self):
        """Exit status and output of `virsh migrate`, once it has ended."""
        return self._wait()

    def freeze_client(self):
        """Stops `virsh`: no step of the migration that it has not asked for yet is taken."""
        os.kill(self._virsh(), signal.SIGSTOP)

    def thaw_client(self):
        """Lets `virsh` go on, and nsenter, which stops itself when its child is stopped."""
        virsh = self._virsh()
        wait_for(lambda: _stopped(self._process.pid), 5, "nsenter has stopped like its child")
        for pid in (virsh, self._process.pid):
            os.kill(pid, signal.SIGCONT)

    def kill_client(self):
        """Ends `virsh` as a crash would."""
        os.kill(self._virsh(), signal.SIGKILL)
        os.kill(self._process.pid, signal.SIGCONT)
        self._wait()

    def _virsh(self):
        return only_child(self._process.pid)

    def await_memory(self):
        """Waits until some of the memory is sent, while there is more to come."""

        def some():
            job = self._source.run(["virsh", "--quiet", "domjobinfo", self._name, "--rawstats"], check=False).stdout
            return re.search(r"memory_processed:\s+[1-9]", job)

        wait_for(some, MIGRATION_TIMEOUT, f"memory of {self._name} is being copied")

    def _wait(self):
        if self._output is None:
            output, _ = self._process.communicate(timeout=patient(MIGRATION_TIMEOUT))
            self._output = output.strip()
        return self._process.returncode, self._output


def _stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Vm:
    """A VM with vmferry volumes. Its load starts by itself; see guest/load.c for settings and commands.

    FILL is the prefilled part of its volumes, per mille; RATE is "full", "idle" or I/O per second; further SETTINGS
    become load.KEY=VALUE.
    """

    def __init__(self, lab, volumes, name="vm", fill=500, rate="full", nbd_socket=NBD_SOCKET, **settings):
        self._lab = lab
        self._nbd_socket = nbd_socket
        self.name = name
        self.volumes = list(volumes)
        self._settings = {"fill": fill, "rate": rate, **settings}
        self._console_socket = f"/run/lab/{name}.console"
        self._heartbeat_socket = f"/run/lab/{name}.heartbeat"
        self._console_log = f"/var/log/libvirt/{name}-console.log"

    def domain_xml(self):
        guest = image.build()
        disks = "".join(self.disk_xml(volume, letter) for volume, letter in zip(self.volumes, "abcdefgh"))
        return DOMAIN.format(
            name=self.name,
            memory=MEMORY_MIB,
            memory_bytes=MEMORY_BYTES,
            kernel=guest.kernel,
            initramfs=guest.initramfs,
            settings=" ".join(f"load.{key}={value}" for key, value in self._settings.items()),
            disks=disks,
            console_socket=self._console_socket,
            console_log=self._console_log,
            heartbeat_socket=self._heartbeat_socket,
        )

    def disk_xml(self, volume, letter):
        """The element of one disk, vd and LETTER in the guest."""
        return DISK.format(volume=volume, socket=self._nbd_socket, letter=letter)

    # ---- life ----

    def start(self, host, xml=None):
        """Boots the VM as a transient domain, from XML of a host that had it if given, and returns once its load
        runs."""
        path = host.root / f"run/lab/{self.name}.xml"
        path.write_text(xml or self.domain_xml())
        before = len(self.lines(host, "ready"))
        self._lab.note(f"{self.name}: starts on {host.name}")
        host.virsh("create", f"/run/lab/{self.name}.xml")
        self._await_line(host, "ready", before + 1, BOOT_TIMEOUT)

    def state(self, host):
        """libvirt's state and reason, such as "running (migrated)"; None if the host doesn't know the VM."""
        result = host.run(["virsh", "--quiet", "domstate", self.name, "--reason"], check=False)
        return result.stdout.strip() if result.returncode == 0 else None

    def host(self):
        """The host that runs the VM now."""
        running = [host for host in self._lab.hosts if (self.state(host) or "").startswith("running")]
        if len(running) != 1:
            raise RuntimeError(f"{self.name} runs on {[h.name for h in running]}, not on one host")
        return running[0]

    def destroy(self, host):
        """Pulls the plug."""
        self._lab.note(f"{self.name}: destroyed on {host.name}")
        host.virsh("destroy", self.name)

    def kill_qemu(self, host):
        """Ends its QEMU as a crash would."""
        self._lab.note(f"{self.name}: QEMU killed on {host.name}")
        pid = (host.root / f"run/libvirt/qemu/{self.name}.pid").read_text().strip()
        host.run(["kill", "-KILL", pid])

    # ---- migration ----

    def migrate(self, source, destination, *options):
        """Migrates the running VM and returns the Heartbeat that saw it: its `downtime` is in seconds."""
        with self.heartbeat(source, destination) as heartbeat:
            began = time.monotonic()
            with self.migration(source, destination, *options) as migration:
                migration.succeed()
            heartbeat.await_destination()
            self._lab.note(
                f"{self.name}: migrated in {time.monotonic() - began:.3f} s, downtime {heartbeat.downtime:.3f} s"
            )
        return heartbeat

    def migration(self, source, destination, *options, keepalive=None):
        """Starts to migrate the running VM: `with vm.migration(a, b) as migration:`.

        With KEEPALIVE, `virsh` gives a connection up after two times so many seconds, instead of after half a minute.
        """
        self._lab.note(f"{self.name}: migrate from {source.name} to {destination.name}")
        return Migration(self.name, source, destination, options, keepalive)

    def heartbeat(self, *hosts):
        """Listens to the guest's heartbeat on these hosts while the `with` block runs."""
        return Heartbeat([(host.name, host.root / self._heartbeat_socket.lstrip("/")) for host in hosts])

    # ---- the load ----

    def command(self, host, command):
        """Types a line at the guest's console and waits for the answer."""
        kind = ANSWERS.get(command, command.split()[0])
        before = len(self.lines(host, kind))
        self._lab.note(f"{self.name}: command {command!r}")
        with self._typed(host, command):
            self._await_line(host, kind, before + 1, ANSWER_TIMEOUT)

    @contextlib.contextmanager
    def _typed(self, host, line):
        """Types a line. QEMU drops what the guest has not taken yet when the connection ends, so it stays while the
        body waits for the answer."""
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(host.root / self._console_socket.lstrip("/")))
            console.sendall(f"{line}\n".encode())
            yield

    def sum(self, host):
        """Stops the load and returns what it believes to be on its disks: {volume: digest}."""
        return self._sums(host, "sum")

    def digest(self, host):
        """As `sum`, but nothing is flushed: the digest of what was acknowledged."""
        return self._sums(host, "digest")

    def _sums(self, host, command):
        self.command(host, command)
        sums = self.lines(host, "sum")[-len(self.volumes) :]
        return {line["volume"]: line["digest"] for line in sums}

    def latency(self, host):
        """I/O since the last time this was asked: {"count": number, "p99_ms": ..., "worst_ms": ...}."""
        self.command(host, "latency")
        return {key: float(value) for key, value in self.lines(host, "latency")[-1].items()}

    def lines(self, host, kind):
        """What the load printed on one host, oldest first: one {key: value} per line of a kind."""
        try:
            text = (host.root / self._console_log.lstrip("/")).read_text(errors="replace")
        except FileNotFoundError:
            return []
        # The last line may be half written.
        whole = text[: text.rfind("\n") + 1]
        return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in re.findall(rf"^load: {kind}\b(.*)", whole, re.M)]

    def await_stat(self, host, number=1, timeout=15):
        """Waits for further statistics lines and returns them."""
        before = len(self.lines(host, "stat"))
        self._await_line(host, "stat", before + number, timeout)
        return self.lines(host, "stat")[before:]

    def _await_line(self, host, kind, number, timeout):
        """A load that prints on but does no I/O, one that hears no command, and a guest that stands still all end
        here: the console's last lines tell which it is."""
        what = f"the load of {self.name} on {host.name} prints {kind!r} number {number}"
        try:
            wait_for(lambda: len(self.lines(host, kind)) >= number, timeout, what)
        except TimeoutError as problem:
            raise TimeoutError(f"{problem}\n{self.last_words(host)}") from None

    def last_words(self, host):
        """The end of the guest's console on a host, the last statistics among it."""
        try:
            path = host.root / self._console_log.lstrip("/")
            lines = path.read_text(errors="replace").splitlines()
            silent = time.time() - path.stat().st_mtime
        except OSError as problem:
            return f"{self._console_log} on {host.name} can't be read: {problem}"
        state = self.state(host) or "not known to libvirt"
        stats = [line for line in lines if line.startswith("load: stat")][-1:]
        shown = [*stats, *(line for line in lines[-LAST_WORDS:] if line not in stats)]
        text = "".join(f"\n  {line}" for line in shown)
        return f"{self.name} on {host.name} is {state}; last on its console, {silent:.1f} s ago:{text or ' nothing'}"

    def assert_consistent(self, host):
        """Fails if the guest has ever read something wrong, or an I/O has failed."""
        [stat] = self.lines(host, "stat")[-1:] or [None]
        assert stat is not None, f"{self.name} has printed nothing on {host.name}"
        problems = self.lines(host, "mismatch") + self.lines(host, "error")
        assert (stat["mismatches"], stat["errors"]) == ("0", "0"), f"{stat}: {problems}"
