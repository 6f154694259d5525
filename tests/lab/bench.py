# SPDX-License-Identifier: Apache-2.0
"""vmferry, nbdkit and qemu-nbd in turns on the same file in the same run: rates, ratios, CPU time and memory.

The machine's noise hits all servers of a round alike: a ratio is the median of the rounds' ratios, not the ratio of
medians. The file is in the page cache; nothing here measures a disk.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from . import packages, profile
from .host import can_connect
from .local_relay import Authority, LocalRelay
from .paths import TARGET
from .product import PEER_PORT
from .report import markdown
from .waiting import wait_for

NEEDED = {
    "/usr/bin/fio": "fio",
    "/usr/bin/nbdkit": "nbdkit",
    "/usr/bin/qemu-nbd": "qemu-utils",
    "/usr/bin/java": "openjdk-17-jre-headless",
}

MIB = 1 << 20
GIB = 1 << 30
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_CACHE_TIMEOUT = 120  # seconds to write a file of the size that is measured

RAMP = 1  # seconds at the start of each run that don't count: connections, and what the processor remembers
MISSING = 64 * MIB  # at the end of the volume in fetch mode: never asked for, so the volume stays in fetch mode
FROZEN = 1  # bytes per second: no background copy

MEMORY_VOLUMES = 8
MEMORY_VOLUME_BYTES = 64 * GIB
MEMORY_REQUESTS = 2000  # per volume; half of them write 512 KiB on average
MEMORY_LIMIT = 300 * MIB


@dataclass(frozen=True)
class Row:
    """One kind of load. BAR: what vmferry must at least be, as a multiple of nbdkit's rate."""

    name: str
    options: list = field(hash=False)
    bar: float = None
    bytes_per_second: bool = False

    @property
    def writes(self):
        return "read" not in self.options[0]

    def measure(self, job):
        return sum(job[kind]["bw_bytes" if self.bytes_per_second else "iops"] for kind in ("read", "write"))

    def show(self, value):
        return f"{value / 1e9:.2f} GB/s" if self.bytes_per_second else f"{value / 1e3:.1f}k"


ROWS = [
    Row("4k randread, depth 1", ["--rw=randread", "--bs=4k", "--iodepth=1"], bar=1.3),
    Row("4k randread, depth 32", ["--rw=randread", "--bs=4k", "--iodepth=32"], bar=1.5),
    Row("4k randwrite, depth 32", ["--rw=randwrite", "--bs=4k", "--iodepth=32"], bar=1.1),
    Row("4k randwrite, flush each 32", ["--rw=randwrite", "--bs=4k", "--iodepth=32", "--fsync=32"]),
    Row("64k mixed 70/30, depth 16", ["--rw=randrw", "--rwmixread=70", "--bs=64k", "--iodepth=16"]),
    Row("256k read, depth 8", ["--rw=randread", "--bs=256k", "--iodepth=8"], bar=1.4, bytes_per_second=True),
    Row("256k write, depth 8", ["--rw=randwrite", "--bs=256k", "--iodepth=8"], bar=1.0, bytes_per_second=True),
]

REFERENCE = "vmferry"
FETCHING = "vmferry FETCHING"
# SERVING in the relay of FETCHING: two JVMs with the same code differed by up to a sixth at depth 32.
SAME_RELAY = "vmferry, same relay"
STANDBY = "vmferry STANDBY"
# SERVING and moved here once; of the first of the two, the other node keeps a replica. They are compared with each other:
# in the page cache a file that was fetched lies in smaller pieces than one that was written in large ones, and small
# writes to that one cost the kernel several times as much.
STALE_MAP = "vmferry, stale map"
NO_STALE_MAP = "vmferry, moved"
NBDKIT = "nbdkit"
QEMU = "qemu-nbd"


@dataclass(frozen=True)
class Pair:
    """Two of vmferry's that differ in one thing. BAR: what the first must at least be, as a multiple of the second's rate."""

    server: str
    other: str
    bar: float
    writes_only: bool = False

    def __str__(self):
        return f"{self.server} × {self.other}"


PAIRS = [Pair(FETCHING, SAME_RELAY, 0.95), Pair(STALE_MAP, NO_STALE_MAP, 0.99, writes_only=True)]


@dataclass
class Server:
    """What is measured: a URI, and the process whose CPU time and memory count."""

    name: str
    uri: str
    pid: int
    read_only: bool = False


@dataclass
class Result:
    """One run of fio against one server."""

    value: float
    cpu_per_gib: float  # seconds
    p99_us: float


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def status_bytes(pid, name):
    """A line of /proc/PID/status, such as VmRSS or VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def fio(uri, options, seconds, size):
    command = [
        "fio", "--name=bench", "--ioengine=nbd", f"--uri={uri}", "--thread", f"--size={size}", "--time_based",
        f"--runtime={seconds}", f"--ramp_time={RAMP}", "--randrepeat=0", "--norandommap", "--group_reporting",
        "--output-format=json", *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + RAMP + 60)
    try:
        job = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]
    except (ValueError, KeyError, IndexError):
        raise RuntimeError(f"fio against {uri} gave no result: {done.stderr.strip() or done.stdout.strip()}") from None
    if done.returncode != 0 or job["error"]:
        raise RuntimeError(f"fio against {uri} failed: {done.stderr.strip()}")
    return job


def order(servers, number):
    """Who is measured after whom in a round: another begins in each, and every second round goes backwards, so that
    none always follows the same one."""
    turn = number % len(servers)
    turned = servers[turn:] + servers[:turn]
    return turned[::-1] if number % 2 else turned


def run(row, server, seconds, size):
    cpu = cpu_seconds(server.pid)
    began = time.monotonic()
    job = fio(server.uri, row.options, seconds, size)
    elapsed = time.monotonic() - began
    cpu = cpu_seconds(server.pid) - cpu
    rate = sum(job[kind]["bw_bytes"] for kind in ("read", "write"))
    # The ramp costs CPU time too; its bytes are not in fio's report, so they are taken as those of the measured part.
    moved = rate * min(elapsed, seconds + RAMP) / GIB
    p99 = max(job[kind].get("clat_ns", {}).get("percentile", {}).get("99.000000", 0) for kind in ("read", "write"))
    return Result(row.measure(job), cpu / moved if moved else float("nan"), p99 / 1e3)


class Bench:
    """All servers over one file, and what was measured of them: results[row][server] has one Result per round."""

    def __init__(self, options):
        self.options = options
        self.size = options.size * MIB
        self.servers = []
        self.results = {}
        self.memory = None
        self.profiles = {}
        self.load = []

    def __enter__(self):
        self._stack = ExitStack()
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception):
        self._stack.close()

    def _start(self):
        folder = Path(tempfile.mkdtemp(prefix="bench-", dir=self.options.folder))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        authority = Authority(folder / "authority")
        wanted = self.options.servers
        modes = not {FETCHING, SAME_RELAY, STANDBY, STALE_MAP, NO_STALE_MAP}.isdisjoint(wanted)
        ports = {"one": PEER_PORT, "two": PEER_PORT + 1}
        relays = {}
        for name in ("one", "two") if modes else ("one",):
            peers = {node: port for node, port in ports.items() if node != name} if modes else None
            relay = LocalRelay(name, folder / name, authority, ports[name], peers, self.options.java)
            relays[name] = self._stack.enter_context(relay)
        self.relay = relays["one"]
        self.relay.create_volume("bench", self.size)
        self._fill(self.relay.uri("bench"))
        servers = [Server(REFERENCE, self.relay.uri("bench"), self.relay.pid)]
        if modes:
            servers += self._other_states(relays["one"], relays["two"])
        servers += self._plain_servers(folder, self.relay.data_file("bench"))
        self.servers = [server for server in servers if server.name in wanted]

    def _other_states(self, one, two):
        wait_for(lambda: one.linked() and two.linked(), 30, "the two relays are linked")
        for name in ("kept", "moved"):
            self._attach(name, two, one, take_over=True)
            wait_for(lambda: one.state(name) == "SERVING", PAGE_CACHE_TIMEOUT, f"{name} is complete")  # noqa: B023
        two.delete_volume("moved")
        wait_for(lambda: not one.volume("moved")["replicas"], 10, "the replica that was deleted is forgotten")
        if not one.volume("kept")["replicas"]:
            raise RuntimeError("the owner knows no replica elsewhere, so it keeps no stale map")
        two.control.put("/v1/rate", {"bytesPerSecond": FROZEN})
        self._attach("fetching", one, two, take_over=True)
        self._fill(two.uri("fetching"))
        two.create_volume("serving", self.size)
        self._fill(two.uri("serving"))
        self._attach("standby", one, two, take_over=False)
        if (two.state("fetching"), two.state("standby")) != ("FETCHING", "STANDBY"):
            raise RuntimeError(f"the volumes are {two.state('fetching')} and {two.state('standby')}")
        self._states = two
        return [
            Server(FETCHING, two.uri("fetching"), two.pid),
            Server(SAME_RELAY, two.uri("serving"), two.pid),
            Server(STANDBY, two.uri("standby"), two.pid, read_only=True),
            Server(STALE_MAP, one.uri("kept"), one.pid),
            Server(NO_STALE_MAP, one.uri("moved"), one.pid),
        ]

    def _attach(self, name, owner, other, take_over):
        """A new volume full of data, with a standby at the other node, which may take it over."""
        owner.create_volume(name, self.size + MISSING)
        self._fill(owner.uri(name), extra=MISSING)
        domain = str(uuid.uuid4())
        owner.await_closed(name)
        other.control.post("/v1/standbys", {"domain": domain, "volumes": [name], "owner": owner.name})
        if take_over:
            other.control.post(f"/v1/takeovers/{domain}", None)

    def _plain_servers(self, folder, file):
        commands = {
            NBDKIT: ["nbdkit", "--foreground", "--unix", folder / "nbdkit.sock", "file", file],
            QEMU: ["qemu-nbd", "--persistent", "--shared=16", "--format=raw", "-k", folder / "qemu-nbd.sock", file],
        }
        servers = []
        for name, command in commands.items():
            with open(folder / f"{name}.log", "ab") as log:
                process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stderr=log)
            self._stack.callback(process.wait)
            self._stack.callback(process.kill)
            socket = folder / f"{name}.sock"
            wait_for(lambda: can_connect(socket), 10, f"{name} listens")  # noqa: B023
            servers.append(Server(name, f"nbd+unix:///?socket={socket}", process.pid))
        return servers

    def _fill(self, uri, extra=0):
        """Random data, so that nothing can be left out as a hole or as zeroes."""
        command = [
            "fio", "--name=fill", "--ioengine=nbd", f"--uri={uri}", "--thread", "--rw=write", "--bs=1m", "--iodepth=4",
            f"--size={self.size + extra}", "--refill_buffers=1", "--output-format=json",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=PAGE_CACHE_TIMEOUT)

    def measure(self):
        rows = [row for row in ROWS if not self.options.rows or any(part in row.name for part in self.options.rows)]
        if not rows:
            raise SystemExit(f"bench: no row has any of {self.options.rows} in its name; see --list")
        for number in range(self.options.warm_up + self.options.rounds):
            counts = number >= self.options.warm_up
            label = f"round {number - self.options.warm_up + 1}" if counts else "warm-up"
            for row in rows:
                for server in order(self.servers, number):
                    if server.read_only and row.writes:
                        continue
                    os.sync()  # or it pays for what the one before has written, to the same file perhaps
                    result = run(row, server, self.options.seconds, self.size)
                    print(f"{label}: {row.name:28} {server.name:18} {row.show(result.value)}", flush=True)
                    if counts:
                        self.results.setdefault(row, {}).setdefault(server.name, []).append(result)
            self.load.append(os.getloadavg()[0])
        self.rows = rows
        if FETCHING in self.options.servers and self._states.state("fetching") != "FETCHING":
            raise RuntimeError("the volume in fetch mode became complete: its numbers are not those of FETCHING")

    def measure_memory(self):
        """Peak resident memory of a relay of its own while all of its large volumes are busy."""
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="bench-", dir=self.options.folder))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            authority = Authority(folder / "authority")
            relay = LocalRelay("memory", folder / "relay", authority, PEER_PORT + 2, None, self.options.java)
            stack.enter_context(relay)
            names = [f"large{number}" for number in range(MEMORY_VOLUMES)]
            for name in names:
                relay.create_volume(name, MEMORY_VOLUME_BYTES)
            # A small part of each volume, spread over all of it: the machine's disk need not hold 512 GiB.
            job = ["--thread", "--rw=randrw", "--bsrange=4k-1m", "--iodepth=16", f"--size={MEMORY_VOLUME_BYTES}"]
            job += ["--norandommap", f"--number_ios={MEMORY_REQUESTS}"]
            jobs = []
            for name in names:
                jobs += [f"--name={name}", "--ioengine=nbd", f"--uri={relay.uri(name)}", *job]
            done = subprocess.run(["fio", *jobs, "--output-format=json"], capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                raise RuntimeError(f"fio on {MEMORY_VOLUMES} volumes failed: {done.stderr.strip()}")
            self.memory = status_bytes(relay.pid, "VmHWM")

    def measure_profiles(self):
        """Where the CPU time of the relay goes, row by row: profiles[row] is a table."""
        [server] = [server for server in self.servers if server.name == REFERENCE]
        with tempfile.TemporaryDirectory(prefix="profile-", dir=self.options.folder) as folder:
            for row in self.rows:
                watched = profile.Profile(server.pid, self.options.seconds, Path(folder) / "samples")
                run(row, server, self.options.seconds, self.size)
                self.profiles[row] = watched.table()

    # ---- what came out

    def ratio(self, row, server, other):
        """Median of the rounds' ratios; None if one of the two wasn't measured."""
        results = self.results[row]
        if server not in results or other not in results:
            return None
        pairs = zip(results[server], results[other], strict=True)
        return statistics.median(mine.value / theirs.value for mine, theirs in pairs)

    def report(self):
        names = [server.name for server in self.servers]
        plain = [name for name in (NBDKIT, QEMU) if {REFERENCE, name} <= set(names)]
        pairs = [pair for pair in PAIRS if {pair.server, pair.other} <= set(names)]
        table = [["load", *names, *(f"× {name}" for name in plain), *map(str, pairs), "bar"]]
        for row in self.rows:
            ratios = [self.ratio(row, REFERENCE, name) for name in plain] + [self._pair(row, pair) for pair in pairs]
            shown = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            table.append([row.name, *(self._median(row, name) for name in names), *shown, self._verdict(row)])
        cpu = [["CPU seconds per GiB", *names]]
        p99 = [["99 % of requests within, µs", *names]]
        for row in self.rows:
            cpu.append([row.name] + [self._middle(row, name, lambda each: each.cpu_per_gib, "{:.2f}") for name in names])
            p99.append([row.name] + [self._middle(row, name, lambda each: each.p99_us, "{:.0f}") for name in names])
        memory = [["resident memory, MiB", "now", "peak"]]
        for server in self.servers:
            memory.append([server.name, *(f"{status_bytes(server.pid, name) / MIB:.0f}" for name in ("VmRSS", "VmHWM"))])
        if self.memory is not None:
            verdict = "met" if self.memory <= MEMORY_LIMIT else f"MISSED: at most {MEMORY_LIMIT // MIB}"
            memory.append([f"relay with {MEMORY_VOLUMES} busy volumes of 64 GiB", verdict, f"{self.memory / MIB:.0f}"])
        return "\n".join(
            [
                "# vmferry beside other NBD servers",
                "",
                f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} processors, Linux {os.uname().release},"
                f" load {min(self.load):.1f} to {max(self.load):.1f} (the benchmark itself is up to 2);"
                f" {self.options.rounds} rounds of {self.options.seconds} s, {self.options.size} MiB in the page cache of"
                f" {file_system(self.options.folder)}, Unix socket, one connection.",
                "Rates are medians; `× NAME` is how many times as fast vmferry (SERVING) is as NAME, `A × B` how many times as"
                " fast A is as B: the median of the rounds' ratios.",
                "",
                *markdown(table),
                "",
                *markdown(cpu),
                "",
                *markdown(p99),
                "",
                *markdown(memory),
                "",
                *self._profile_lines(),
            ]
        )

    def _profile_lines(self):
        lines = []
        for row, table in self.profiles.items():
            lines += [*markdown([[f"CPU time of vmferry: {row.name}", "share"], *table]), ""]
        return lines

    def _pair(self, row, pair):
        return None if pair.writes_only and not row.writes else self.ratio(row, pair.server, pair.other)

    def _verdict(self, row):
        """The bars of this row: against nbdkit as the row says, ahead of qemu-nbd always, and those of the pairs."""
        missed = []
        against = self.ratio(row, REFERENCE, NBDKIT)
        if row.bar and against is not None and against < row.bar:
            missed.append(f"{row.bar} × nbdkit")
        ahead = self.ratio(row, REFERENCE, QEMU)
        if ahead is not None and ahead <= 1:
            missed.append("ahead of qemu-nbd")
        for pair in PAIRS:
            ratio = self._pair(row, pair)
            if ratio is not None and ratio < pair.bar:
                missed.append(f"{pair.bar} in {pair}")
        return "MISSED: " + ", ".join(missed) if missed else "met"

    def _median(self, row, name):
        results = self.results[row].get(name)
        return "" if results is None else row.show(statistics.median(each.value for each in results))

    def _middle(self, row, name, value, form):
        results = self.results[row].get(name)
        return "" if results is None else form.format(statistics.median(map(value, results)))


def file_system(folder):
    done = subprocess.run(["stat", "--file-system", "--format=%T", folder], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def parse(arguments):
    everyone = [REFERENCE, FETCHING, SAME_RELAY, STANDBY, STALE_MAP, NO_STALE_MAP, NBDKIT, QEMU]
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="rounds that count, best an even number (default %(default)s)")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before that don't (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (default %(default)s)")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the file (default %(default)s)")
    parser.add_argument("--row", dest="rows", action="append", metavar="TEXT", help="only rows with TEXT in their name")
    parser.add_argument(
        "--server", dest="servers", action="append", choices=everyone, metavar="NAME",
        help=f"only these: {', '.join(everyone)}",
    )  # fmt: skip
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the file is (default %(default)s)")
    parser.add_argument("--java", action="append", default=[], metavar="OPTION", help="one more option of the relay's JVM")
    parser.add_argument("--no-memory", action="store_true", help=f"leave out the {MEMORY_VOLUMES} large volumes")
    parser.add_argument("--profile", action="store_true", help="also show where the relay's CPU time goes")
    parser.add_argument("--list", action="store_true", help="print the rows' names")
    options = parser.parse_args(arguments)
    options.servers = options.servers or everyone
    if options.rounds < 1 or options.seconds < 1 or options.size < 1 or options.warm_up < 0:
        parser.error("--rounds, --seconds and --size are at least 1, --warm-up at least 0")
    if options.profile and REFERENCE not in options.servers:
        parser.error(f"--profile is about {REFERENCE}: measure it too")
    return options


def main(arguments=None):
    options = parse(arguments)
    if options.list:
        print("\n".join(row.name for row in ROWS))
        return
    packages.install_missing({**NEEDED, **profile.NEEDED} if options.profile else NEEDED)
    with Bench(options) as bench:
        bench.measure()
        if options.profile:
            bench.measure_profiles()
        if not options.no_memory:
            bench.measure_memory()
        report = bench.report()
    TARGET.mkdir(exist_ok=True)
    (TARGET / "bench.md").write_text(report)
    print("\n" + report)


if __name__ == "__main__":
    sys.exit(main())
