# SPDX-License-Identifier: Apache-2.0
"""A lab host: mount, UTS, network and process namespaces with its own /run, libvirt and vmferry folders.

All processes of a host are in its process namespace: killing process 1 leaves none. All mounts and devices go with the
namespaces.
"""

import os
import signal
import socket
import subprocess
import uuid
from pathlib import Path

from .build import compile_c
from .paths import LAB
from .waiting import patient, wait_for

# Each host has its own version of these, empty at first.
OWN_FOLDERS = [
    "/var/cache/libvirt",
    "/var/cache/vmferry",
    "/var/cache/vmferry-agent",
    "/var/cache/vmferry-relay",
    "/var/lib/libvirt",
    "/var/lib/vmferry",
    "/var/log/libvirt",
]

# A host has the machine's /etc, may change it for itself, and sees nothing that the machine has in these.
OWN_SETTINGS = ["libvirt", "vmferry"]

LIBVIRTD_CONF = """\
host_uuid = "{uuid}"
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_rw = "none"
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
log_filters = "4:util.netdev 4:util.cgroup 3:*"
log_outputs = "1:file:/var/log/libvirt/libvirtd.log"
"""

# No separate users, no cgroups, no private /dev, logs written by QEMU itself: all of these need more than namespaces.
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
migration_host = "{address}"
"""

# What on a compute node comes with libvirt-daemon-system, which the lab does without (packages.py): libvirtd refuses to
# start its QEMU driver without this user, whatever qemu.conf says; and the group that may use libvirt.
QEMU_USER = "libvirt-qemu"
LIBVIRT_GROUP = "libvirt"
ACCOUNTS = {
    "passwd": [f"{QEMU_USER}:x:64055:64055::/nonexistent:/usr/sbin/nologin"],
    "group": [f"{QEMU_USER}:x:64055:", f"{LIBVIRT_GROUP}:x:64056:"],
}

# Nothing of the environment of whoever runs the lab gets into a host.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": os.environ.get("TERM", "dumb"),
}

START_TIMEOUT = 20  # seconds; libvirtd probes QEMU at its first start

GONE_TIMEOUT = 10  # seconds, from the SIGKILL to the end of the last process


class Service:
    """A process of a host that the lab started, in the foreground, with its output in a log file."""

    def __init__(self, host, name):
        self._host = host
        self.name = name
        self._entry = None  # the nsenter process, parent of the real one
        self.pid = None  # as seen from outside the host

    def start(self, command):
        if self.running:
            raise RuntimeError(f"{self.name} is already running on {self._host.name}")
        with open(self.log, "ab") as output:
            self._entry = self._host.popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.pid = wait_for(self._find_pid, 5, f"{self.name} is started on {self._host.name}", interval=0.002)
        return self

    @property
    def log(self):
        return self._host.logs / f"{self.name}.log"

    @property
    def running(self):
        return self._entry is not None and self._entry.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self, timeout=10):
        """Ends the process in an orderly way (SIGTERM); kills it if it does not end in time, and says so."""
        if not self.running:
            return
        timeout = patient(timeout)
        self.signal(signal.SIGTERM)
        try:
            self._entry.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.name} on {self._host.name} ignored SIGTERM for {timeout} s") from None

    def kill(self):
        """Ends the process as a crash would (SIGKILL), also one that is paused."""
        if self.running:
            self.signal(signal.SIGKILL)
            wait_for(self._reaped, GONE_TIMEOUT, f"{self.name} on {self._host.name} is gone", interval=0.005)

    def pause(self):
        """Stops the process where it is (SIGSTOP). nsenter stops itself then, and takes its child along when it goes
        on."""
        self.signal(signal.SIGSTOP)
        wait_for(lambda: is_stopped(self._entry.pid), 5, f"{self.name} on {self._host.name} is paused", interval=0.002)

    @property
    def paused(self):
        return self.running and is_stopped(self._entry.pid)

    def resume(self):
        self._entry.send_signal(signal.SIGCONT)

    def _reaped(self):
        if is_stopped(self._entry.pid):
            self._entry.send_signal(signal.SIGCONT)  # it would never see that its child has ended
        return self._entry.poll() is not None

    def check(self):
        """Raises if the process has ended."""
        if not self.running:
            raise RuntimeError(
                f"{self.name} on {self._host.name} has ended with status {self._entry.returncode}: see {self.log}"
            )
        return True

    def _find_pid(self):
        self.check()
        return only_child(self._entry.pid)


class Host:
    """One of the two hosts. `pid` is its process 1 as seen from outside, `root` its file system likewise."""

    own_folders = OWN_FOLDERS

    def __init__(self, name, address, folder, pid=None):
        self.name = name
        self.address = address
        self.folder = Path(folder)
        self.logs = self.folder / "logs"
        self.pid = pid
        self._unshare = None  # the parent of process 1; None if another process made the host
        self.libvirtd = Service(self, "libvirtd")
        self.events = Service(self, "events")

    @property
    def root(self):
        return Path(f"/proc/{self.pid}/root")

    # ---- up ----

    def start(self, peers, die_with_parent):
        """Makes the namespaces. PEERS are (name, address) of all hosts, for /etc/hosts."""
        self._write_files(peers)
        with open(self.logs / "host.log", "ab") as output:
            # --pdeathsig and --kill-child: if the lab's process dies, even by SIGKILL, so does the host.
            self._unshare = subprocess.Popen(
                [
                    *(["setpriv", "--pdeathsig", "KILL"] if die_with_parent else []),
                    "unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                    "--propagation", "private", "--",
                    "sh", str(LAB / "host.sh"), self.name, str(self.folder),
                    str(compile_c("init.c", "init", "-static")),
                ],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=ENVIRONMENT,
            )  # fmt: skip
        self.pid = wait_for(self._find_init, 5, f"{self.name} has its namespaces: see {self.logs}/host.log")

    def _write_files(self, peers):
        self.logs.mkdir(parents=True)
        (self.folder / "own-folders").write_text("".join(f"{path}\n" for path in self.own_folders))
        for path in self.own_folders:
            (self.folder / f"root{path}").mkdir(parents=True)
        settings = self.folder / "etc"
        (self.folder / "etc-work").mkdir()
        for name in OWN_SETTINGS:
            (settings / name).mkdir(parents=True)
            os.setxattr(settings / name, "trusted.overlay.opaque", b"y")
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in peers)]
        (settings / "hosts").write_text("\n".join(lines) + "\n")
        for file, accounts in ACCOUNTS.items():
            names = [account.partition(":")[0] for account in accounts]
            lines = Path("/etc", file).read_text().splitlines()
            others = [line for line in lines if line.partition(":")[0] not in names]
            (settings / file).write_text("\n".join([*others, *accounts]) + "\n")
        self._configure(settings)

    def _configure(self, settings):
        """Writes what its daemons read."""
        libvirt = settings / "libvirt"
        host_uuid = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.lab")
        (libvirt / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=host_uuid, address=self.address))
        (libvirt / "qemu.conf").write_text(QEMU_CONF.format(address=self.address))

    def _find_init(self):
        if self._unshare.poll() is not None:
            raise RuntimeError(f"{self.name} could not be made: see {self.logs}/host.log")
        pid = only_child(self._unshare.pid)
        return pid if pid and os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "init" else None

    def kill(self):
        """Ends every process of a host that this object started; its mounts and devices go with them."""
        if self._unshare is None or self._unshare.poll() is not None:
            return  # not ours, or dead already
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)  # unshare, its parent, reaps it and ends as well
        else:
            self._unshare.kill()

    def wait_gone(self):
        """Waits until nothing of a killed host is left."""
        if self._unshare is not None:
            release_entries({self.pid})
            self._unshare.wait(GONE_TIMEOUT)

    # ---- commands ----

    def enter(self, command):
        """The command line that runs a command inside this host."""
        return ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--net", "--pid", "--", *map(str, command)]

    def run(self, command, check=True, timeout=60, stdin_text="", **options):
        """Runs a command inside this host and returns its result with text output."""
        result = subprocess.run(
            self.enter(command), input=stdin_text, capture_output=True, text=True, timeout=patient(timeout),
            env=ENVIRONMENT,
            **options,
        )  # fmt: skip
        if check and result.returncode:
            raise RuntimeError(
                f"{self.name}: {' '.join(map(str, command))!r} ended with status {result.returncode}: "
                f"{(result.stderr or result.stdout).strip()}"
            )
        return result

    def popen(self, command, **options):
        return subprocess.Popen(self.enter(command), env=ENVIRONMENT, **options)

    def service(self, name):
        return Service(self, name)

    def virsh(self, *arguments, **options):
        return self.run(["virsh", "--quiet", "--connect", "qemu:///system", *arguments], **options).stdout.strip()

    # ---- libvirt ----

    def begin_libvirtd(self):
        """Starts libvirtd without waiting for it."""
        self.libvirtd.start(["libvirtd", "--listen"])

    def await_libvirtd(self):
        """Waits until libvirtd answers, then starts recording its events."""
        wait_for(self._libvirtd_answers, START_TIMEOUT, f"libvirtd on {self.name} answers: see {self.libvirtd.log}")
        if not self.events.running:
            command = ["virsh", "--connect", "qemu:///system", "event", "--all", "--loop", "--timestamp"]
            self.events.start(["stdbuf", "--output=L", *command])

    def reload_libvirtd(self):
        """libvirtd looks for hooks only when it starts and on SIGHUP."""
        self.libvirtd.signal(signal.SIGHUP)

    def _libvirtd_answers(self):
        self.libvirtd.check()
        return can_connect(self.root / "run/libvirt/libvirt-sock") and self.run(
            ["virsh", "--connect", "qemu:///system", "list"], check=False
        ).returncode == 0


def can_connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def is_stopped(pid):
    return process_state(pid) == "T"


def process_state(pid):
    """The letter that ps shows; None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def release_entries(pids):
    """Lets the nsenter processes of hosts see that their children are gone: one that stopped together with a paused
    child would keep the host's process namespace for ever. PIDS are the hosts' first processes, dead already."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        ours = words[0] == b"nsenter" and words[1] == b"--target" and words[2] in {b"%d" % pid for pid in pids}
        if ours and is_stopped(int(entry.name)):
            os.kill(int(entry.name), signal.SIGCONT)


def only_child(pid):
    """The child of a process that has at most one; None while it has none."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None
