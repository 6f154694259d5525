# SPDX-License-Identifier: Apache-2.0
"""The lab: two hosts, the WAN between them, and the state file that lets another process find or clear them."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

from . import packages
from .build import compile_c
from .host import Host, release_entries
from .paths import RUNNING
from .waiting import wait_for
from .wan import Wan

# Addresses for examples (RFC 5737), seen only inside the lab's own network namespaces.
HOSTS = {"hosta": "192.0.2.1", "hostb": "192.0.2.2"}

DELAY_MS = 10  # one way
RATE_MBIT = 400


class LabError(Exception):
    """Says what is wrong and what to do next."""


class Lab:
    """`with Lab() as lab:` has both hosts up, libvirtd answering, and the WAN at 20 ms round trip and 400 Mbit/s.

    To be used from the main thread: the hosts die with the thread that made them. `lab.a` and `lab.b` are the hosts,
    `lab.wan` the link.
    """

    def __init__(self, die_with_parent=True):
        self._die_with_parent = die_with_parent
        self.wan = Wan(RUNNING / "wan.sock")
        self.a, self.b = (Host(name, address, RUNNING / name) for name, address in HOSTS.items())
        self._further = []  # hosts beside the two
        self._state = None  # what the state file says; None until this object has claimed the folder

    @property
    def hosts(self):
        return (self.a, self.b)

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *exception):
        self.down()

    @classmethod
    def attach(cls):
        """The lab that another process has brought up."""
        state = _read_state()
        if state is None or not _alive(state["processes"]):
            raise LabError("no lab is up: run labctl up")
        lab = cls()
        for host in lab.hosts:
            host.pid = state["hosts"][host.name]
        return lab

    def note(self, text):
        """Writes a line of the lab's own story; it appears in the timeline."""
        with open(RUNNING / "lab.log", "a") as log:
            log.write(f"{time.time():.3f} {text}\n")

    # ---- up and down ----

    def up(self):
        if os.geteuid():
            raise LabError("the lab makes namespaces and TUN devices: run it as root")
        packages.install_missing()
        self._claim()
        compile_c("init.c", "init", "-static")
        for host in self.hosts:
            host.start(HOSTS.items(), self._die_with_parent)
            self._record(f"host {host.name}", host.pid)
        self._state["hosts"] = {host.name: host.pid for host in self.hosts}
        self.wan.start(self.a, self.b, RUNNING / "wan.log", self._die_with_parent)
        self._record("wan", self.wan.pid)
        self.wan.set(delay_ms=DELAY_MS, rate_mbit=RATE_MBIT)
        for host in self.hosts:
            host.begin_libvirtd()
        for host in self.hosts:
            host.await_libvirtd()
        self.note("lab is up")

    def add(self, host):
        """Starts a further host, not on the WAN; it goes down with the lab."""
        self._further.append(host)
        host.start([*HOSTS.items(), (host.name, host.address)], self._die_with_parent)
        self._state["hosts"][host.name] = host.pid
        self._record(f"host {host.name}", host.pid)

    def down(self):
        """Leaves nothing behind, however far `up` came."""
        hosts = (*self.hosts, *self._further)
        for part in (*hosts, self.wan):
            part.kill()
        for host in hosts:
            host.wait_gone()
        if self._state is not None:
            clear()

    def _claim(self):
        state = _read_state()
        if state is not None and _in_use(state):
            raise LabError(
                f"a lab is already up in {RUNNING}: run labctl down, or set VMFERRY_LAB_DIR to another folder"
            )
        clear()
        RUNNING.mkdir(parents=True)
        owner = _identity(os.getpid()) if self._die_with_parent else None
        self._state = {"owner": owner, "processes": {}, "hosts": {}}
        self._write_state()

    def _record(self, what, pid):
        self._state["processes"][what] = _identity(pid)
        self._write_state()

    def _write_state(self):
        temporary = RUNNING / "state.json.new"
        temporary.write_text(json.dumps(self._state, indent=1))
        temporary.replace(RUNNING / "state.json")


def clear():
    """Ends and removes whatever lab is in RUNNING; returns whether there was any."""
    state = _read_state()
    if state is None:
        if RUNNING.exists():
            shutil.rmtree(RUNNING)
        return False
    for process in state["processes"].values():
        if _is(process):
            os.kill(process["pid"], signal.SIGKILL)
    release_entries(set(state["hosts"].values()))
    wait_for(lambda: not _alive(state["processes"]), 10, "the lab's processes are gone")
    shutil.rmtree(RUNNING)
    return True


def host_of(name):
    """A host of the lab that another process has brought up, also one that was added to it."""
    lab = Lab.attach()
    pid = _read_state()["hosts"].get(name)
    if pid is None:
        raise LabError(f"the lab that is up has no host {name}")
    return next((host for host in lab.hosts if host.name == name), Host(name, None, RUNNING / name, pid))


def _read_state():
    try:
        return json.loads((RUNNING / "state.json").read_text())
    except FileNotFoundError:
        return None


def _in_use(state):
    """A lab belongs to the process that runs it, or, brought up by labctl, to nobody while its hosts live."""
    return _is(state["owner"]) if state["owner"] else _alive(state["processes"])


def _alive(processes):
    return any(_is(process) for process in processes.values())


def _identity(pid):
    """A process id alone may be used again; with the start time it is one process for ever."""
    return {"pid": pid, "started": _started(pid)}


def _is(process):
    return _started(process["pid"]) == process["started"]


def _started(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])
