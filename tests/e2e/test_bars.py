# SPDX-License-Identifier: Apache-2.0
"""How fast a VM moves, against a pass-through NBD server in the same lab at the same time.

With the pass-through server a migration moves memory and nothing else: both ends read and write the same file. What
vmferry adds to that is its own.
"""

from dataclasses import dataclass
from datetime import datetime
from statistics import median

import pytest

from lab import timeline
from lab.cluster import MIB
from lab.passthrough import Passthrough
from lab.paths import TARGET
from lab.vm import Vm

pytestmark = pytest.mark.alone

ROUND_TRIP_MS = 20
LONG_ROUND_TRIP_MS = 100  # beside which what two emulating processors need for a takeover, 20 to 50 ms, is small
RATE_MBIT = 400
ROUNDS = 3
SOCKET = "/run/lab/passthrough.sock"

# Of the time that memory alone needs. The lab's VM is small: its memory takes 3 s, of which the three calls of the
# hook, each with two round trips to the owner, are a tenth; a busy machine was seen to add as much again.
TIME_TOLERANCE = 0.25


@dataclass(frozen=True)
class Move:
    """One migration. `to_run_s` from the command to the first sign of life at the destination; milliseconds of
    `gap`: no heartbeat; `worst_ms`: the longest I/O in the seconds around the switch."""

    to_run_s: float
    gap_ms: float
    worst_ms: float

    @property
    def downtime_ms(self):
        return self.gap_ms + self.worst_ms


class Moves:
    """Migrations with vmferry and with the pass-through server in turns; more of them when the first say too little."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._results = {"vmferry": [], "pass-through": []}
        self.measure()

    def measure(self):
        cluster = self._cluster
        with Passthrough(cluster.lab, SOCKET) as storage:
            volume = f"through{len(self._results['pass-through'])}"
            storage.create_volume(volume, 64 * MIB)
            for _ in range(ROUNDS):
                vm = cluster.start_vm(reads=0)
                self._results["vmferry"].append(move(cluster, vm))
                print(f"\n{vm.name}: owner {takeover_ms(cluster, vm):.0f} ms after it was resumed", end="")
                cluster.clear()
                number = len(self._results["pass-through"])
                vm = Vm(cluster.lab, [volume], name=f"through{number}", nbd_socket=SOCKET, reads=0)
                vm.start(cluster.a)
                vm.await_stat(cluster.a)
                self._results["pass-through"].append(move(cluster, vm))
                cluster.clear()
        for name, results in self._results.items():
            for result in results:
                print(f"\n{name}: {result}", end="")
        print()

    def of(self, name, value):
        return [getattr(result, value) for result in self._results[name]]

    def medians(self, value):
        return tuple(median(self.of(name, value)) for name in ("vmferry", "pass-through"))


@pytest.fixture(scope="module")
def moves(_shared_cluster):
    return Moves(_shared_cluster)


def holds(moves, bar):
    """Whether a bar is met. Three rounds on a busy machine say little: a miss is measured with as many again."""
    if bar():
        return True
    moves.measure()
    return bar()


def move(cluster, vm, round_trip_ms=ROUND_TRIP_MS):
    cluster.wan.set(delay_ms=round_trip_ms / 2, rate_mbit=RATE_MBIT)  # each time: clearing up restores the lab's own
    heartbeat = vm.migrate(cluster.a, cluster.b)
    vm.await_stat(cluster.b, 2)
    vm.assert_consistent(cluster.b)
    around = [*vm.lines(cluster.a, "stat")[-1:], *vm.lines(cluster.b, "stat")]
    timeline.keep(TARGET / "logs" / f"e2e-test_bars-py-{vm.name}")
    return Move(heartbeat.time_to_run, heartbeat.downtime * 1000, max(float(stat["worst_ms"]) for stat in around))


def takeover_ms(cluster, vm):
    """From libvirt's event at the destination to the change of owner there."""
    [resumed] = [e for e in cluster.timeline(cluster.b, "agent", vm.name) if e["detail"] == "RESUMED_MIGRATED"]
    [taken] = [e for e in cluster.timeline(cluster.b, "relay", *vm.volumes) if "-> FETCHING" in e["detail"]]
    first, last = (datetime.fromisoformat(event["time"][:26]) for event in (resumed, taken))
    return (last - first).total_seconds() * 1000


def test_the_vm_runs_at_the_destination_in_the_time_that_memory_needs(moves):
    def bar():
        ours, memory = moves.medians("to_run_s")
        print(f"\ntime to run at the destination: {ours:.2f} s, memory alone {memory:.2f} s, ratio {ours / memory:.2f}")
        return ours / memory < 1 + TIME_TOLERANCE

    assert holds(moves, bar)


def test_the_takeover_adds_at_most_two_round_trips_of_downtime(moves):
    def bar():
        ours, memory = moves.medians("downtime_ms")
        baseline = moves.of("pass-through", "downtime_ms")
        noise = max(baseline) - min(baseline)  # what equal migrations differ by, on this machine at this time
        print(f"\ndowntime: {ours:.0f} ms, memory alone {memory:.0f} ms: {ours - memory:.0f} ms more, noise {noise:.0f} ms")
        return ours - memory <= 2 * ROUND_TRIP_MS + noise

    assert holds(moves, bar)


def test_an_owner_is_there_two_round_trips_after_the_vm(_shared_cluster):
    cluster = _shared_cluster
    takeovers = []
    for _ in range(ROUNDS):
        vm = cluster.start_vm(reads=0)
        move(cluster, vm, LONG_ROUND_TRIP_MS)
        takeovers.append(takeover_ms(cluster, vm))
        cluster.clear()
    print(f"\nowner {', '.join(f'{each:.0f}' for each in takeovers)} ms after it was resumed")
    # One message of these few may be lost in the queue that the memory fills.
    assert median(takeovers) <= 2 * LONG_ROUND_TRIP_MS
