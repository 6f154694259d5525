# SPDX-License-Identifier: Apache-2.0
"""Moves the same VM over the same WAN with vmferry and with what people use without it, and compares what it costs.

All systems of one case (link, load of the guest) run one after the other in the same lab, on a volume with the same
content, so the machine's noise hits them alike. Each has a bound: what is not over by then is printed as a timeout.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass, field

from . import packages, timeline
from .cluster import MIB, Cluster
from .paths import TARGET
from .report import Curve, Panel, markdown, svg
from .wan_systems import SYSTEMS

RATES = [100, 400]  # Mbit/s
ROUND_TRIPS = [20, 100]  # ms
LOADS = ["idle", "200", "full"]  # I/O per second of the guest

SMALL = {"rates": [100], "round_trips": [20], "loads": ["200", "full"]}

BASELINE_S = 4  # how long the guest is watched before it moves
POLL_S = 0.05
SAMPLE_S = 0.5  # between two looks at what is present: virsh costs too
ENDED_STAT_TIMEOUT = 30  # seconds for the guest's next line when all is over


@dataclass(frozen=True)
class Case:
    """One link and one load."""

    rate_mbit: int
    round_trip_ms: int
    load: str

    def __str__(self):
        load = {"idle": "idle guest", "full": "guest at full speed"}.get(self.load, f"guest with {self.load} I/O per second")
        return f"{self.rate_mbit} Mbit/s, {self.round_trip_ms} ms round trip, {load}"


@dataclass(frozen=True)
class Io:
    """The guest's I/O over some time."""

    iops: float
    p99_ms: float


@dataclass
class Result:
    """One system in one case. Times in seconds from the command on; None: not within the bound."""

    system: str
    bound: float
    runs: float = None
    downtime: float = None
    source_can_go: float = None
    wire_bytes: int = 0
    before: Io = None
    during: Io = None
    present: list = field(default_factory=list)  # (seconds, share of the volume)
    error: str = None

    def row(self):
        """The cells of its line."""
        timeout = f"timeout: > {self.bound:.0f} s"
        if self.error:
            return [self.system, f"failed: {self.error}", *[""] * 5]
        return [
            self.system,
            timeout if self.runs is None else f"{self.runs:.1f} s",
            "" if self.downtime is None else f"{self.downtime * 1000:.0f} ms",
            timeout if self.source_can_go is None else f"{self.source_can_go:.1f} s",
            f"{self.wire_bytes / MIB:.0f} MiB",
            compared(self.before, self.during, lambda io: io.iops, "{:.0f}"),
            compared(self.before, self.during, lambda io: io.p99_ms, "{:.1f} ms"),
        ]


HEAD = [
    "system",
    "VM runs at the destination",
    "downtime",
    "source can go",
    "on the wire",
    "guest's IOPS before → during",
    "p99 before → during",
]


def compared(before, during, value, form):
    """Two figures and their ratio; nothing for a guest that asked for nothing."""
    if before is None or during is None or not before.iops:
        return ""
    old, new = value(before), value(during)
    ratio = f" ({new / old:.2f} ×)" if old else ""
    return f"{form.format(old)} → {form.format(new)}{ratio}"


class Deadline(Exception):
    """The bound of a case has passed."""


class Run:
    """One system in one case."""

    def __init__(self, cluster, system, case, options, name):
        self.cluster, self.system, self.case, self.options, self.name = cluster, system, case, options, name
        self.result = Result(system.name, options.bound)
        self._began = None
        self._sampled = 0.0

    def go(self):
        a, b, wan = self.cluster.a, self.cluster.b, self.cluster.wan
        wan.set(delay_ms=self.case.round_trip_ms / 2, rate_mbit=self.case.rate_mbit)
        load = {"rate": self.case.load, "reads": self.options.reads}
        vm = self.system.make(self.name, self.options.size * MIB, self.options.fill, **load)
        vm.start(a)
        vm.await_stat(a, 2)
        options = self.system.options()
        self.result.before = self._watch(vm, a, BASELINE_S)
        wire = self._wire()
        asked = time.monotonic()
        where = a
        try:
            with vm.heartbeat(a, b) as heartbeat:
                self._began = time.monotonic()
                with vm.migration(a, b, *options) as migration:
                    self._until(lambda: migration.ended)
                    migration.succeed()
                heartbeat.await_destination()
                where = b
                self.result.runs, self.result.downtime = heartbeat.time_to_run, heartbeat.downtime
            self.system.arrived()
            self._until(self.system.source_can_go)
            self.result.source_can_go = time.monotonic() - self._began
        except Deadline:
            where = vm.host()
        self._sample(force=True)
        self.result.wire_bytes = self._wire() - wire
        self.result.during = io_of(vm.latency(where), time.monotonic() - asked)
        vm.await_stat(where, 1, ENDED_STAT_TIMEOUT)
        vm.assert_consistent(where)

    def _watch(self, vm, host, seconds):
        vm.latency(host)  # what it did before is not asked for
        began = time.monotonic()
        time.sleep(seconds)
        return io_of(vm.latency(host), time.monotonic() - began)

    def _wire(self):
        return sum(direction.bytes for direction in self.cluster.wan.show().values())

    def _until(self, condition):
        while not condition():
            if time.monotonic() - self._began > self.options.bound:
                raise Deadline
            self._sample()
            time.sleep(POLL_S)

    def _sample(self, force=False):
        now = time.monotonic() - self._began
        if force or now - self._sampled >= SAMPLE_S:
            self._sampled = now
            present = self.system.present()
            if present is not None:
                self.result.present.append((now, present))


def io_of(latency, seconds):
    return Io(latency["count"] / seconds, latency["p99_ms"])


class Bench:
    """All cases, and what came out: results[case] is a list."""

    def __init__(self, options):
        self.options = options
        self.cases = [
            Case(rate, trip, load) for rate in options.rates for trip in options.round_trips for load in options.loads
        ]
        self.results = {case: [] for case in self.cases}
        self.load = []

    def measure(self):
        systems = [system for system in SYSTEMS if not self.options.systems or system.name in self.options.systems]
        number = 0
        with Cluster() as cluster:
            for case in self.cases:
                print(f"---- {case}", flush=True)
                for kind in systems:
                    number += 1
                    result = self._one(cluster, kind(cluster), case, f"moved{number}")
                    self.results[case].append(result)
                    print(" | ".join(result.row()), flush=True)
                    self.load.append(os.getloadavg()[0])

    def _one(self, cluster, system, case, name):
        run = Run(cluster, system, case, self.options, name)
        try:
            run.go()
        except (AssertionError, OSError, RuntimeError, KeyError, TypeError) as problem:
            # One broken case must not cost the results of the others; the report says so, and so does the exit status.
            run.result.error = (str(problem).strip() or repr(problem)).splitlines()[0]
            timeline.keep(TARGET / "logs" / f"wan-bench-{name}")
        finally:
            system.clean()
        return run.result

    @property
    def failed(self):
        return [result for results in self.results.values() for result in results if result.error]

    def report(self):
        lines = [
            "# Moving a VM over a WAN",
            "",
            f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} processors, Linux {os.uname().release}, load"
            f" {min(self.load):.1f} to {max(self.load):.1f} (two emulated guests and the WAN are part of it).",
            f"Volume of {self.options.size} MiB, {self.options.fill / 10:g} % of it data; the guest reads and writes random"
            f" blocks of 4 KiB, {self.options.reads} % reads; one run per line, bound {self.options.bound:.0f} s.",
            "",
            "`on the wire` has both directions and the VM's memory, until the source can go. `during` is from the command"
            " until the source can go. What is present over time: wan-bench.svg.",
            "",
        ]
        for case, results in self.results.items():
            lines += [f"## {case}", "", *markdown([HEAD, *(result.row() for result in results)]), ""]
        return "\n".join(lines)

    def figure(self):
        return svg([panel(case, results) for case, results in self.results.items()])


def panel(case, results):
    """One line per system: what is present at the destination. The dot: there the VM runs at the destination."""
    curves = [
        Curve(result.system, [(x, 100 * y) for x, y in result.present], result.runs) for result in results if not result.error
    ]
    return Panel(str(case), "seconds since the command (dot: the VM runs at the destination)", "% of the volume", 100, curves)


def parse(arguments):
    names = [system.name for system in SYSTEMS]
    parser = argparse.ArgumentParser(prog="tests/wan-bench", description=__doc__.splitlines()[0])
    parser.add_argument("--whole", action="store_true", help="all rates, round trips and loads; hours on a slow machine")
    parser.add_argument("--rate", dest="rates", type=int, action="append", metavar="MBIT", help="of the link")
    parser.add_argument("--rtt", dest="round_trips", type=int, action="append", metavar="MS", help="round trip of the link")
    parser.add_argument("--load", dest="loads", action="append", metavar="idle|full|N", help="I/O per second of the guest")
    parser.add_argument(
        "--system", dest="systems", action="append", choices=names, metavar="NAME", help=f"only these: {'; '.join(names)}"
    )
    parser.add_argument("--size", type=int, default=128, help="MiB of the volume (default %(default)s)")
    parser.add_argument("--fill", type=int, default=500, help="per mille of it that is data (default %(default)s)")
    parser.add_argument("--reads", type=int, default=50, help="per cent of the guest's I/O (default %(default)s)")
    parser.add_argument("--bound", type=float, default=60, help="seconds for one move (default %(default)s)")
    options = parser.parse_args(arguments)
    default = {"rates": RATES, "round_trips": ROUND_TRIPS, "loads": LOADS} if options.whole else SMALL
    for key, values in default.items():
        setattr(options, key, getattr(options, key) or values)
    if any(load not in ("idle", "full") and not load.isdigit() for load in options.loads):
        parser.error("--load is idle, full or a number")
    return options


def main(arguments=None):
    options = parse(arguments)
    packages.install_missing()
    bench = Bench(options)
    bench.measure()
    TARGET.mkdir(exist_ok=True)
    report = bench.report()
    (TARGET / "wan-bench.md").write_text(report)
    (TARGET / "wan-bench.svg").write_text(bench.figure())
    print(f"\n{report}\n{TARGET / 'wan-bench.svg'}")
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
