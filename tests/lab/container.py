# SPDX-License-Identifier: Apache-2.0
"""A Debian of its own, as fresh as debootstrap makes it, that can be booted with its own systemd: for the packages.

Needs no systemd on the machine, only its tool systemd-nspawn. Nothing of it is left but archives of the systems to start from
in `tests/target`, and downloaded packages, so that the next run need not fetch them again.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
from pathlib import Path

from .paths import TARGET
from .waiting import wait_for

SUITE = "bookworm"
CACHE = TARGET / "debian"
BARE = CACHE / f"{SUITE}.tar"
ARCHIVES = CACHE / "archives"  # packages that were downloaded once

TOOLS = {
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/bin/systemd-nspawn": "systemd-container",
    "/usr/bin/lintian": "lintian",
    "/usr/bin/rpm": "rpm",
    "/usr/bin/checkmodule": "checkpolicy",
}

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}

# Where the kernel's second version of control groups is, alone or beside the first.
CGROUPS = next(path for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")) if path.exists())

BOOT_TIMEOUT = 60  # seconds
GONE_TIMEOUT = 10  # seconds, for what the kernel clears away after the last process
COMMAND_TIMEOUT = 900  # seconds; apt may have to download, on a busy machine


class Container:
    """`with Container(path) as debian:` has a bare Debian below PATH, or one with PACKAGES; nothing of it afterwards."""

    def __init__(self, root, packages=()):
        self.root = Path(root)
        self._packages = packages
        self._nspawn = None
        self._leader = None
        self._log = None
        self._group = None

    def __enter__(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        subprocess.run(["tar", "-xf", _system(self._packages), "-C", self.root], check=True)
        # No disk is asked to be safe for a system that lives for minutes.
        (self.root / "etc/dpkg/dpkg.cfg.d/unsafe").write_text("force-unsafe-io\n")
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        return self

    def __exit__(self, *exception):
        self.power_off()
        # Last line of defence: never remove through a mount.
        if not os.path.ismount(self.root / "var/cache/apt/archives"):
            shutil.rmtree(self.root, ignore_errors=True)

    def file(self, path):
        return self.root / path.lstrip("/")

    @property
    def booted(self):
        return self._leader is not None

    def run(self, command, check=True, user=None, **options):
        """Runs a command in there, as root or as USER with that user's groups: in the booted system, or else in
        namespaces of its own."""
        if user:
            command = ["setpriv", f"--reuid={user}", f"--regid={self.group_of(user)}", "--init-groups", *command]
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options}
        if options.get("input") is not None:
            del options["stdin"]
        # Two that are not booted share what apt has downloaded, and its lock there.
        with _turn() if command[0] == "apt-get" and not self.booted else contextlib.nullcontext():
            result = subprocess.run(
                [*self._entrance(), *command], env=ENVIRONMENT, timeout=COMMAND_TIMEOUT, check=False, **options
            )
        if check and result.returncode != 0:
            raise AssertionError(f"{command} in {self.root}: status {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def begin(self, command, user=None):
        """Starts a command in there that goes on; its standard input is a pipe."""
        if user:
            command = ["setpriv", f"--reuid={user}", f"--regid={self.group_of(user)}", "--init-groups", *command]
        return subprocess.Popen(
            [*self._entrance(), *command],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def group_of(self, user):
        """The primary group of a user there, as a number."""
        for line in self.file("/etc/passwd").read_text().splitlines():
            name, _, _, gid, *_ = line.split(":")
            if name == user:
                return gid
        raise KeyError(f"there is no user {user} in {self.root}")

    def groups_of(self, user):
        """All groups of a user there, by name."""
        names = {self.group_of(user)}
        found = set()
        for line in self.file("/etc/group").read_text().splitlines():
            name, _, gid, members = line.split(":")
            if gid in names or user in members.split(","):
                found.add(name)
        return found

    def install(self, *packages, check=True):
        """apt, with dependencies, without what is only recommended; keeps what it downloads for the next run."""
        return self.run(["apt-get", "-y", "-q", "--no-install-recommends", "install", *packages], check=check)

    def copy_in(self, file, path):
        shutil.copy(file, self.file(path))
        return path

    def boot(self):
        """Starts its systemd, without a network besides its own loopback."""
        self._log = open(f"{self.root}.log", "wb")
        # Two systemds in one control group would take each other's processes for their own.
        self._group = CGROUPS / f"vmferry-{self.root.name}-{os.getpid()}"
        self._group.mkdir(exist_ok=True)
        join = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', self._group]
        self._nspawn = subprocess.Popen(
            [*join, "systemd-nspawn", "-D", self.root, "--boot", "--register=no", "--keep-unit", "--private-network",
             "--console=pipe", "--quiet", f"--machine={self._group.name}"],
            env={**ENVIRONMENT, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )  # fmt: skip
        self._leader = wait_for(self._find_leader, BOOT_TIMEOUT, f"systemd in {self.root} starts: see {self.root}.log")
        wait_for(self._is_up, BOOT_TIMEOUT, f"systemd in {self.root} is up: see {self.root}.log", interval=0.2)

    def power_off(self):
        if self._leader:
            try:
                os.kill(self._leader, signal.SIGKILL)  # process 1 of its namespace: takes all others along
            except ProcessLookupError:
                pass
            self._leader = None
        if self._nspawn:
            try:
                self._nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
            self._nspawn = None
            self._log.close()
            os.unlink(f"{self.root}.log")
            # From the innermost outwards; the kernel may need a moment to see that they are empty.
            for folder, _, _ in os.walk(self._group, topdown=False):
                wait_for(lambda folder=folder: _removed(folder), GONE_TIMEOUT, f"{folder} is empty")

    def link(self, other, address, other_address):
        """A cable between two booted systems: ADDRESS/BITS each, on `eth0`."""
        ends = [(self, address), (other, other_address)]
        here, there = (f"{end._leader}" for end, _ in ends)
        command = ["ip", "link", "add", "eth0", "netns", here, "type", "veth", "peer", "name", "eth0", "netns", there]
        subprocess.run(command, check=True)
        for end, own in ends:
            enter = ["nsenter", f"--target={end._leader}", "--net"]
            subprocess.run([*enter, "ip", "address", "add", own, "dev", "eth0"], check=True)
            subprocess.run([*enter, "ip", "link", "set", "eth0", "up"], check=True)

    @property
    def live_root(self):
        """Its file system with all that is mounted there, /run for one; while it is booted."""
        return Path(f"/proc/{self._leader}/root")

    def _is_up(self):
        state = self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
        return state in ("running", "degraded")

    def _find_leader(self):
        if self._nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended: {Path(f'{self.root}.log').read_text()}")
        pid = self._nspawn.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        return None

    def _entrance(self):
        if self.booted:
            return ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                    "--root", "--wd"]  # fmt: skip
        # A JRE's own scripts need /proc. Mounts and processes end with the command.
        ARCHIVES.mkdir(exist_ok=True)
        script = (
            f'mount -t proc proc "{self.root}/proc" && mount --rbind /dev "{self.root}/dev" && '
            f'mount --bind "{ARCHIVES}" "{self.root}/var/cache/apt/archives" && '
            f'exec chroot "{self.root}" "$@"'
        )
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                "sh", "-c", script, "container"]  # fmt: skip


@contextlib.contextmanager
def _turn():
    """One at a time, of the processes that run tests beside each other. Not to be taken twice."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _removed(folder):
    try:
        os.rmdir(folder)
    except OSError as problem:
        if problem.errno == errno.EBUSY:
            return False
        raise
    return True


def _mirror():
    """Where the machine's own apt has this suite from."""
    command = ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", "Created-By: Packages"]
    targets = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout
    for target in targets.splitlines():
        release, _, site = target.partition(" ")
        if release == SUITE:
            return site.rstrip("/")
    raise RuntimeError(f"apt has no source of Debian {SUITE} on this machine: run apt-get update, or add one")


def _system(packages):
    """The archive of a Debian with these packages, made once."""
    with _turn():
        _make_bare_system()
    if not packages:
        return BARE
    archive = CACHE / f"{SUITE}-{'-'.join(packages)}.tar"
    if not archive.exists():
        with Container(CACHE / f"fresh-{os.getpid()}") as container:
            container.run(["apt-get", "-q", "update"])
            container.install(*packages)
            _pack(container.root, archive)
    return archive


def _pack(root, archive):
    partial = archive.with_suffix(f".{os.getpid()}")
    subprocess.run(["tar", "-cf", partial, "-C", root, "."], check=True)
    partial.rename(archive)


def _make_bare_system():
    """The archive of a minimal Debian, made once."""
    if BARE.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = CACHE / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    mirror = _mirror()
    try:
        subprocess.run(
            ["debootstrap", "--variant=minbase", SUITE, fresh, mirror],
            check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT,
        )  # fmt: skip
        sources = fresh / "etc/apt/sources.list"
        sources.write_text(
            f"deb {mirror} {SUITE} main\ndeb {mirror} {SUITE}-updates main\n"
            f"deb {mirror}-security {SUITE}-security main\n"
        )
        # Its apt must not delete what is kept for the next run.
        (fresh / "etc/apt/apt.conf.d/keep").write_text('APT::Keep-Downloaded-Packages "true";\n')
        _pack(fresh, BARE)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
