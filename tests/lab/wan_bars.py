# SPDX-License-Identifier: Apache-2.0
"""How well two relays use the WAN: each figure beside the bar that the design sets for it.

No VM and no agent: a volume at the first node, a client at the second. What is measured is time, so the machine must be
quiet; the report says how quiet it was.
"""

import argparse
import math
import os
import random
import statistics
import sys
import time
import uuid
from dataclasses import dataclass

from . import packages
from .nbd_client import BLOCK, MIB, NbdClient
from .paths import TARGET
from .relays import Relays, await_closed, await_complete, fill_volume, set_rate, take_over
from .report import markdown
from .traffic import tcp_throughput
from .waiting import wait_for

COMPLETE_TIMEOUT = 300  # seconds
STREAMS = 4  # copy.connections' default
WARM_UP = 64 * MIB  # copied before: until then the JVMs run their code of the copy for the first time, and compile it
SETTLE_S = 2.0  # of a copy that don't count: its window and TCP's grow
POLL_S = 0.05
TCP_MEMORY_S = 11  # so long a connection's congestion control may go by the shortest round trip that it saw (BBR: 10 s)
MISS_PAUSE_S = 0.1  # between two misses: the copy yields while a guest misses
GIB = 1 << 30


@dataclass(frozen=True)
class Figure:
    """One thing measured; MET is None where there is nothing to compare with."""

    what: str
    bar: str
    measured: str
    met: bool = None

    def row(self):
        return [self.what, self.bar, self.measured, {None: "", True: "met", False: "MISSED"}[self.met]]


def percentile(values, share):
    """The smallest value that so large a share of the values is at most."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


class Bars:
    """Measures on two relays that are up; makes a volume for each figure."""

    def __init__(self, relays):
        self.relays = relays
        self._number = 0
        self._random = random.Random(1)

    def _volume(self, size):
        """A volume full of noise at the first node."""
        self._number += 1
        name = f"bar{self._number}"
        pieces = [(start, self._random.randbytes(MIB)) for start in range(0, size, MIB)]
        fill_volume(self.relays.a, name, size, pieces)
        return name

    def _link(self, rate_mbit, round_trip_ms):
        """Both relays are linked by a healthy WAN like this, and what TCP knows of it is true."""
        self.relays.calm(delay_ms=round_trip_ms / 2, rate_mbit=rate_mbit)
        time.sleep(TCP_MEMORY_S)

    def _wire(self):
        return self.relays.wan.show()["ab"].bytes

    def _forget(self, name):
        """As soon as the source knows that it may."""
        wait_for(lambda: self.relays.a.volume(name)["completeAt"], 30, f"hosta knows that {name} is complete")
        self.relays.a.relay.delete(f"/v1/volumes/{name}")
        self.relays.b.relay.delete(f"/v1/volumes/{name}")

    def _warm_up(self):
        name = self._volume(WARM_UP)
        take_over(self.relays.a, self.relays.b, name)
        await_complete(self.relays.b, name)
        self._forget(name)

    def _copy_rate(self, name):
        """Bytes per second on the wire while the copy is at its height, all bytes on the wire, and all seconds."""
        before = self._wire()
        take_over(self.relays.a, self.relays.b, name)
        began = time.monotonic()
        samples = []
        while True:
            volume = self.relays.b.volume(name)
            now = time.monotonic()
            if now - began > COMPLETE_TIMEOUT:
                raise TimeoutError(f"{name} is not complete after {COMPLETE_TIMEOUT} s: {volume}")
            if volume["state"] == "SERVING":
                break
            if now - began >= SETTLE_S and volume["present"] < 0.95 * volume["size"]:
                samples.append((now, self._wire()))
            time.sleep(POLL_S)
        if len(samples) < 2:
            raise RuntimeError(f"the copy of {name} ended within {SETTLE_S} s: make it larger")
        (first, from_bytes), (last, to_bytes) = samples[0], samples[-1]
        return (to_bytes - from_bytes) / (last - first), self._wire() - before, now - began

    def bulk(self, size):
        """At 100 ms and 400 Mbit/s; and what a whole copy puts on the wire."""
        rate_mbit, round_trip = 400, 100
        self._link(rate_mbit, round_trip)
        self._warm_up()
        name = self._volume(size)
        rate, wire, took = self._copy_rate(name)
        self._forget(name)
        what = f"copy, {rate_mbit} Mbit/s, {round_trip} ms"
        share = 8 * rate / (rate_mbit * 1e6)
        ratio = wire / size
        least = 8 * size / (rate_mbit * 1e6)
        return [
            Figure(what, "95 % of the link", f"{100 * share:.1f} %", share >= 0.95),
            Figure(f"{what}: all of {size // MIB} MiB", "", f"{took:.1f} s, the link alone {least:.1f} s"),
            Figure("bytes on the wire per byte that had to move", "1.03", f"{ratio:.3f}", ratio <= 1.03),
        ]

    def loss(self, size):
        """At 1 % loss, beside as many plain TCP streams."""
        rate_mbit, round_trip = 400, 100
        self._link(rate_mbit, round_trip)
        self.relays.wan.set(loss_percent=1)
        plain = tcp_throughput(self.relays.a.host, self.relays.b.host, 10, STREAMS) / 8
        name = self._volume(size)
        rate, _, _ = self._copy_rate(name)
        self._forget(name)
        return [
            Figure(
                f"copy, {rate_mbit} Mbit/s, {round_trip} ms, 1 % loss, beside {STREAMS} TCP streams",
                "0.8 ×",
                f"{8 * rate / 1e6:.1f} Mbit/s, TCP {8 * plain / 1e6:.1f}: {rate / plain:.2f} ×",
                rate >= 0.8 * plain,
            )
        ]

    def misses(self, size, loss_percent=0):
        """A guest that reads a missing block now and then while the copy runs at 100 Mbit/s; a lossy link has no bar."""
        rate_mbit, round_trip = 100, 20
        self._link(rate_mbit, round_trip)
        self.relays.wan.set(loss_percent=loss_percent)
        name = self._volume(size)
        take_over(self.relays.a, self.relays.b, name)
        took = []
        with NbdClient(self.relays.b, name) as client:
            while self.relays.b.volume(name)["state"] == "FETCHING":
                place = self._random.randrange(size // BLOCK) * BLOCK
                began = time.monotonic()
                client.read(place, BLOCK)
                milliseconds = 1000 * (time.monotonic() - began)
                if milliseconds >= round_trip / 2:  # else it was there already
                    took.append(milliseconds)
                time.sleep(MISS_PAUSE_S)
        await_closed(self.relays.b, name)
        self._forget(name)
        what = f"miss while the copy runs, {rate_mbit} Mbit/s, {round_trip} ms, {len(took)} of them"
        if loss_percent:
            what += f", {loss_percent} % loss"
        bars = [
            ("median", statistics.median(took), round_trip + 5),
            ("99 %", percentile(took, 0.99), 2 * round_trip + 10),
        ]
        return [
            Figure(f"{what}: {name}", "", f"{value:.1f} ms")
            if loss_percent
            else Figure(f"{what}: {name}", f"{limit} ms", f"{value:.1f} ms", value <= limit)
            for name, value, limit in bars
        ]

    def sizes(self, rounds=5):
        """Attach and takeover of a small and a large volume, all holes: what a VM waits for besides its memory."""
        self.relays.calm()
        took = {512 * MIB: [], 16 * GIB: []}
        for _ in range(rounds):
            for size, times in took.items():
                times.append(self._attach_and_take_over(size))
        small, large = (statistics.median(times) for times in took.values())
        return [
            Figure(
                "attach and takeover, 512 MiB and 16 GiB sparse, 20 ms",
                "1.1 ×",
                f"{1000 * small:.0f} ms and {1000 * large:.0f} ms: {large / small:.2f} ×",
                large <= 1.1 * small,
            )
        ]

    def _attach_and_take_over(self, size):
        self._number += 1
        name = f"bar{self._number}"
        self.relays.a.relay.post("/v1/volumes", {"name": name, "size": size})
        set_rate(self.relays.b, None)
        domain = str(uuid.uuid4())
        began = time.monotonic()
        self.relays.b.relay.post("/v1/standbys", {"domain": domain, "volumes": [name], "owner": "hosta"})
        self.relays.b.relay.post(f"/v1/takeovers/{domain}", None)
        took = time.monotonic() - began
        await_complete(self.relays.b, name)
        self._forget(name)
        return took


def report(figures, load):
    return "\n".join(
        [
            "# The copy over the WAN and its bars",
            "",
            f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} processors, Linux {os.uname().release}, load"
            f" {min(load):.1f} to {max(load):.1f}, of which the measurement itself is up to 3.",
            "",
            *markdown([["what", "bar", "measured", ""], *(figure.row() for figure in figures)]),
            "",
        ]
    )


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tests/wan-bars", description=__doc__.splitlines()[0])
    names = ["bulk", "loss", "misses", "lossy-misses", "sizes"]
    parser.add_argument("--only", action="append", choices=names, help="measure this (may be given again)")
    parser.add_argument("--size", type=int, default=256, help="MiB of noise to copy (default %(default)s)")
    parser.add_argument("--lossy-size", type=int, default=1024, help="the same at 1 %% loss (default %(default)s)")
    options = parser.parse_args(arguments)
    options.only = options.only or names
    return options


def main(arguments=None):
    options = parse(arguments)
    packages.install_missing()
    figures, load = [], [os.getloadavg()[0]]
    with Relays() as relays:
        bars = Bars(relays)
        steps = {
            "bulk": lambda: bars.bulk(options.size * MIB),
            "loss": lambda: bars.loss(options.lossy_size * MIB),
            "misses": lambda: bars.misses(options.size * MIB),
            "lossy-misses": lambda: bars.misses(options.size * MIB, loss_percent=1),
            "sizes": bars.sizes,
        }
        # In this order whatever was asked for: a copy goes by the shortest round trip of the last half minute, so the
        # longest one comes first.
        for name in [step for step in steps if step in options.only]:
            for figure in steps[name]():
                print(" | ".join(figure.row()), flush=True)
                figures.append(figure)
            load.append(os.getloadavg()[0])
    text = report(figures, load)
    TARGET.mkdir(exist_ok=True)
    (TARGET / "wan-bars.md").write_text(text)
    print("\n" + text)
    return 1 if any(figure.met is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
