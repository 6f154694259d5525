# SPDX-License-Identifier: Apache-2.0
"""One VM that moves to and fro while processes are killed and the link is cut at random moments: see `tests/soak`.

Each round draws its faults from the seed, migrates, and lets things happen. A migration may fail for a good reason;
the VM must run on at one of the hosts then. After each round everything is repaired, the guest must make progress,
must never have seen a wrong byte or an I/O error, and, unless the next round is to begin in fetch mode, the digest of
the owner's volume must be the guest's.
"""

import argparse
import heapq
import itertools
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass

from . import timeline
from .cluster import MIB, Cluster
from .lab import LabError
from .paths import TARGET
from .product import SOCKETS

SEED = 1
MIGRATIONS = 50
SIZE = 64 * MIB

# What may happen in a round, and how often. The moment is counted from the start of `virsh migrate`, which takes 1 to
# 5 seconds, or from its end: some faults come before the switch-over, some in it, some in fetch mode.
FAULTS = {("kill", "relay"): 30, ("kill", "agent"): 15, ("kill", "libvirtd"): 20, ("cut", "both"): 20, ("cut", "one"): 15}
FAULTS_PER_ROUND = {0: 10, 1: 50, 2: 30, 3: 10}
PHASES = {"start": 50, "end": 50}
LATEST = {"start": 5.0, "end": 2.0}  # seconds
DOWN = (0.05, 3.0)  # seconds from a kill to the restart
CUT = (0.2, 10.0)  # seconds
CRAWLING = 0.5  # part of the rounds in which the next migration finds the volume still in fetch mode

# Seconds. They end a run that hangs; they are no measure of speed.
ROUND_TIMEOUT = 180
SETTLE_TIMEOUT = 150  # QEMU connects again with a back-off of up to 16 s
PROGRESS_TIMEOUT = 60
OPERATOR_PATIENCE = 15  # a state that nobody changes for so long is left to the operator


class StandStill(Exception):
    """The VM does not go on; the message says where what was kept."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    `at` is in seconds after the "start" or "end" of the migration, `lasts` likewise until it is repaired. `where` is
    "source" or "destination" for a kill, and "ab", "ba" or None for a cut of the link.
    """

    after: str
    at: float
    kind: str
    what: str
    where: str | None
    lasts: float

    def __str__(self):
        where = self.where or "both directions"
        return f"{self.at:.2f} s after its {self.after}: {self.kind} {self.what} ({where}) for {self.lasts:.2f} s"


def draw(dice):
    """The faults of one round."""
    number = dice.choices(list(FAULTS_PER_ROUND), FAULTS_PER_ROUND.values())[0]
    faults = []
    for _ in range(number):
        kind, what = dice.choices(list(FAULTS), FAULTS.values())[0]
        if kind == "kill":
            where, lasts = dice.choice(["source", "destination"]), dice.uniform(*DOWN)
        else:
            where, lasts = (None if what == "both" else dice.choice(["ab", "ba"])), dice.uniform(*CUT)
            what = "link"
        after = dice.choices(list(PHASES), PHASES.values())[0]
        faults.append(Fault(after, dice.uniform(0, LATEST[after]), kind, what, where, lasts))
    return faults


class Agenda:
    """What is due when; actions may add more."""

    def __init__(self):
        self._start = time.monotonic()
        self._order = itertools.count()
        self._due = []

    def add(self, at, action):
        heapq.heappush(self._due, (at, next(self._order), action))

    @property
    def now(self):
        return time.monotonic() - self._start

    def __bool__(self):
        return bool(self._due)

    def run_due(self):
        while self._due and self._due[0][0] <= self.now:
            heapq.heappop(self._due)[2]()


class Soak:
    """Runs rounds on a cluster. `tally` counts what happened."""

    def __init__(self, cluster, seed, say=print):
        self._cluster = cluster
        self._dice = random.Random(seed)
        self._say = say
        self.tally = Counter()
        self.vm = cluster.start_vm(size=SIZE)
        self._at = cluster.a

    def run(self, migrations):
        for number in range(1, migrations + 1):
            began = time.monotonic()
            before = Counter(self.tally)
            self._round(number)
            news = ", ".join(f"{count} {what}" for what, count in sorted((self.tally - before).items()))
            self._say(f"round {number}: {time.monotonic() - began:.1f} s, now at {self._at.name}; {news}")
        self._finish()

    # ---- one round ----

    def _round(self, number):
        source, destination = self._at, self._other(self._at)
        faults = draw(self._dice)
        crawls = self._dice.random() < CRAWLING
        note = "; ".join(map(str, faults)) or "no fault"
        self._cluster.lab.note(f"soak: round {number} from {source.name}{', crawling' if crawls else ''}: {note}")
        if crawls:
            self._cluster.crawl(destination)
        self._migrate(source, destination, faults)
        self._repair()
        self._at = self.settle()
        if crawls:
            self.vm.assert_consistent(self._at)  # to read the whole volume would end fetch mode
        else:
            self._hurry()
            self._await_complete()
            self._cluster.assert_intact(self.vm, self._at)
            self.vm.command(self._at, "go")
            self.tally["digests compared"] += 1
        self.tally["rounds"] += 1

    def _migrate(self, source, destination, faults):
        agenda = Agenda()

        def plan(phase):
            for fault in faults:
                if fault.after == phase:
                    strike = lambda fault=fault: self._strike(fault, agenda, source, destination)  # noqa: E731
                    agenda.add(agenda.now + fault.at, strike)

        with self.vm.migration(source, destination) as migration:
            plan("start")
            ended = False
            while agenda or not ended:
                agenda.run_due()
                if migration.ended and not ended:
                    ended = True
                    plan("end")
                if agenda.now > ROUND_TIMEOUT:
                    raise self._stand_still(f"the migration did not end in {ROUND_TIMEOUT} s")
                time.sleep(0.01)
        status, output = migration.result
        self.tally["migrations that failed" if status else "migrations that succeeded"] += 1
        if status:
            self._cluster.lab.note(f"soak: the migration failed: {output}")

    def _strike(self, fault, agenda, source, destination):
        if fault.kind == "cut":
            self._cluster.wan.cut(fault.where)
            agenda.add(agenda.now + fault.lasts, self._cluster.wan.heal)
            self.tally["cuts"] += 1
            return
        host = source if fault.where == "source" else destination
        if not self._kill(host, fault.what):
            return  # still down from the fault before
        self.tally[f"kills of a {fault.what}"] += 1
        agenda.add(agenda.now + fault.lasts, lambda: self._begin(host, fault.what))

    def _kill(self, host, what):
        service = host.libvirtd if what == "libvirtd" else self._cluster.product.node(host)
        if what == "libvirtd":
            running = service.running
            service.kill()
        else:
            running = service.running(what)
            service.kill(what)
        self._cluster.lab.note(f"soak: {what} on {host.name} killed")
        return running

    def _begin(self, host, what):
        self._cluster.lab.note(f"soak: {what} on {host.name} starts again")
        if what == "libvirtd":
            host.begin_libvirtd()
        else:
            self._cluster.product.node(host).begin(what)

    def _repair(self):
        """Everything runs and answers; the link is whole."""
        self._cluster.wan.heal()
        for host in self._cluster.lab.hosts:
            host.await_libvirtd()
        for node in self._cluster.product.nodes:
            for name in SOCKETS:
                node.await_ready(name)

    # ---- where is the VM now ----

    def settle(self):
        """Waits until the VM runs on one host and nowhere else, and its load makes progress; returns the host."""
        deadline = time.monotonic() + SETTLE_TIMEOUT
        seen, since = None, time.monotonic()
        while time.monotonic() < deadline:
            states = {host: self.vm.state(host) for host in self._cluster.lab.hosts}
            known = [host for host, state in states.items() if state]
            if not known:
                raise self._stand_still("no host knows the VM any more")
            if len(known) == 1 and states[known[0]].startswith("running") and self._progresses(known[0]):
                return known[0]
            if states != seen:
                seen, since = states, time.monotonic()
            elif time.monotonic() - since > OPERATOR_PATIENCE and self._operate(states):
                seen = None
            time.sleep(0.2)
        raise self._stand_still(f"the VM did not settle in {SETTLE_TIMEOUT} s")

    def _progresses(self, host):
        """Whether the load writes and reads; a paused or blocked guest prints nothing, or zeroes."""
        deadline = time.monotonic() + PROGRESS_TIMEOUT
        while time.monotonic() < deadline:
            if not (self.vm.state(host) or "").startswith("running"):
                return False  # paused again: its disk was lost
            try:
                [stat] = self.vm.await_stat(host, timeout=5)[-1:]
            except TimeoutError:
                continue
            if int(stat["writes"]) > 0:
                return True
        raise self._stand_still(f"the load stood still for {PROGRESS_TIMEOUT} s on {host.name}, which runs the VM")

    def _operate(self, states):
        """What an operator does when libvirt has left a VM paused or running twice, and nobody decides: true if there
        was something to do. The relays' owner rule makes sure that no choice here can lose data."""
        running = [host for host, state in states.items() if state and state.startswith("running")]
        paused = [
            host for host, state in states.items() if state and state.startswith("paused") and "I/O error" not in state
        ]
        if len(running) == 2:
            loser = next(host for host in running if not self._owns(host))
            return self._act("destroy", loser, "it runs twice, and the other host owns the volume")
        if running and paused:
            return self._act("destroy", paused[0], "the other host runs it")
        if len(paused) == 2:
            loser = next(host for host in paused if not self._owns(host))
            return self._act("destroy", loser, "it is paused twice, and the other host owns the volume")
        if paused and not running:
            return self._act("resume", paused[0], "it is paused and nobody resumes it")
        return False

    def _owns(self, host):
        volume = self._cluster.volume(host, self.vm.volumes[0])
        return volume is not None and volume["state"] in ("SERVING", "FETCHING")

    def _act(self, command, host, why):
        self._say(f"  operator: virsh {command} on {host.name}: {why}")
        self._cluster.lab.note(f"soak: operator: {command} on {host.name}: {why}")
        result = host.virsh(command, self.vm.name, check=False)
        self.tally[f"times an operator had to {command}"] += 1
        if command == "destroy" and result.returncode:
            self._clear_away(host, result.stderr.strip())
        return True

    def _clear_away(self, host, why):
        """A libvirtd killed while it prepared an incoming domain can keep it for ever: see docs/operations.md."""
        self._say(f"  operator: kills QEMU and libvirtd on {host.name}: {why}")
        self._cluster.lab.note(f"soak: operator: kills QEMU and libvirtd on {host.name}: {why}")
        self.vm.kill_qemu(host)
        host.libvirtd.kill()
        host.begin_libvirtd()
        host.await_libvirtd()
        self.tally["times an operator had to kill an incoming QEMU"] += 1

    # ---- the end of a round ----

    def _hurry(self):
        for host in self._cluster.lab.hosts:
            self._cluster.hurry(host)

    def _await_complete(self):
        [volume] = self.vm.volumes
        try:
            self._cluster.await_state(self._at, volume, "SERVING")
            self._cluster.await_not_owner(self._other(self._at), volume)
        except TimeoutError as problem:
            raise self._stand_still(str(problem)) from problem

    def _finish(self):
        self._hurry()
        self._await_complete()
        self._cluster.assert_intact(self.vm, self._at)
        stats = [stat for host in self._cluster.lab.hosts for stat in self.vm.lines(host, "stat")]
        self.tally["guest writes"] = sum(int(stat["writes"]) for stat in stats)
        self.tally["guest reads, verified"] = sum(int(stat["reads"]) for stat in stats)

    def _other(self, host):
        return self._cluster.b if host is self._cluster.a else self._cluster.a

    # ---- a VM that does not go on ----

    def _stand_still(self, why):
        """Keeps what could explain it: threads of all relays and agents, what QEMU, libvirt and the relays think."""
        folder = TARGET / "logs" / "stand-still"
        report = [why]
        for node in self._cluster.product.nodes:
            host = node.host
            for name in SOCKETS:
                report.append(f"==== {name} on {host.name}")
                try:
                    report.append(str(getattr(node, name).get("/v1/status")))
                    node.service(name).signal(signal.SIGQUIT)  # the JVM writes all its threads to its log
                except Exception as problem:  # noqa: BLE001 - it may be the reason for the stand-still
                    report.append(f"no answer: {problem!r}")
            for command in ("info status", "info block", "info blockstats", "info migrate", "info registers"):
                result = host.run(
                    ["timeout", "5", "virsh", "qemu-monitor-command", "--hmp", self.vm.name, command], check=False
                )
                report.append(f"==== {host.name}: {command}\n{result.stdout}{result.stderr}")
            report.append(host.run(["ss", "-xtnp"], check=False).stdout)
            report.append(self.vm.last_words(host))
        time.sleep(1)  # for the threads to be written
        timeline.keep(folder)
        (folder / "report.txt").write_text("\n".join(report))
        return StandStill(f"{why}; all that could explain it is in {folder}\n" + "\n".join(map(self._brief, (0, 1))))

    def _brief(self, number):
        return self.vm.last_words(self._cluster.lab.hosts[number])


def main():
    parser = argparse.ArgumentParser(prog="tests/soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--migrations", type=int, default=MIGRATIONS, help=f"default {MIGRATIONS}")
    parser.add_argument("--seed", type=int, default=SEED, help=f"what happens when is drawn from it; default {SEED}")
    arguments = parser.parse_args()
    began = time.monotonic()
    with Cluster() as cluster:
        soak = Soak(cluster, arguments.seed)
        try:
            soak.run(arguments.migrations)
            print("0 mismatches, 0 I/O errors, all digests right")
        finally:
            timeline.keep(TARGET / "logs" / "soak")
            for what, count in sorted(soak.tally.items()):
                print(f"{count:9} {what}")
            print(f"{time.monotonic() - began:9.0f} seconds")


if __name__ == "__main__":
    try:
        main()
    except (LabError, StandStill, AssertionError, TimeoutError) as problem:
        sys.exit(f"soak: {problem or problem!r}; logs: {TARGET / 'logs'}")
