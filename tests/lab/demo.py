# SPDX-License-Identifier: Apache-2.0
"""The demo: a running VM moves to another host over a WAN, its disk follows, and the first host dies.

Every number it prints is measured in this run. It ends with status 0 only if nothing was lost.
"""

import re
import shlex
import signal
import subprocess
import sys
import time
from datetime import datetime

from . import jar, packages, timeline
from .guest import image
from .lab import Lab, LabError
from .paths import TARGET
from .product import Product
from .terminal import Terminal
from .verify import verify_image
from .vm import MIGRATION_TIMEOUT, Vm
from .waiting import wait_for

STEPS = 6
MIB = 1 << 20

VOLUME = "root"
VOLUME_BYTES = 512 * MIB
FILL = 500  # per mille of the volume that holds data; the rest are holes
RTT_MS = 20
RATE_MBIT = 100
GUEST_IOPS = 300  # enough to miss blocks all the time, little enough to leave the link to the copy
GUEST_READS = 60  # per cent

POLL = 0.2  # seconds between two looks at the agents and relays
SETTLE = 0.5  # seconds; an event this old has been reported by everyone, so the order is final
COPY_TIMEOUT = 180  # seconds; 25 on an idle machine
STORY_TIMEOUT = 15  # seconds from the end of virsh until the last event of the migration
LINES_AFTER_KILL = 4  # the guest prints one a second

MIGRATE = ["virsh", "migrate", "--live", "vm", "qemu+tcp://hostb/system"]
EXPORTED = "/var/lib/libvirt/root.raw"

# What of both hosts' timelines is shown: (node, kind, pattern of the detail, phase or None, what to say).
STORY = [
    ("hostb", "hook", r"migrate begin", None, "libvirt announces the VM; hostb asks its peers who owns the disk"),
    ("hostb", "phase", r"1:", 1, "phase 1, reserve: hostb is ready to take over the disk; none of it is copied yet"),
    ("hosta", "phase", r"2:", 2, "phase 2, copy memory: the VM runs on hosta, and so does all of its disk I/O"),
    ("hosta", "phase", r"3:", 3, "phase 3, dirty pages: what the VM changed meanwhile is sent again"),
    ("hosta", "phase", r"4:", 4, "phase 4, stop: the VM stands still; the rest of its memory is sent"),
    ("hostb", "phase", r"5:", 5, "phase 5, resume: the VM runs on hostb"),
    ("hosta", "state", r".*-> RELEASED", None, "hosta hands the disk over and will not write to it any more"),
    ("hostb", "state", r".*-> FETCHING", None, "hostb owns the disk: it takes all writes and fetches what it lacks"),
]


class Story:
    """The timelines of both agents and both relays, merged by time, as far as they are worth telling."""

    def __init__(self, product):
        self._sources = {(node.host.name, name): getattr(node, name) for node in product.nodes for name in SOURCES}
        self._seen = {source: 0 for source in self._sources}
        self._pending = []
        self._told = set()
        self._collect()
        self._pending.clear()  # what was before does not belong to the story

    @property
    def phases(self):
        return [STORY[index][3] for index in sorted(self._told) if STORY[index][3]]

    @property
    def complete(self):
        return len(self._told) == len(STORY)

    def new(self, settle=SETTLE):
        """Events not told before, oldest first: (time in seconds since 1970, host, what to say, phase or None)."""
        self._collect()
        until = time.time() - settle
        ready = sorted((event for event in self._pending if event[0] <= until), key=lambda event: event[0])
        self._pending = [event for event in self._pending if event[0] > until]
        return [told for event in ready if (told := self._tell(*event))]

    def _collect(self):
        for source, control in self._sources.items():
            for event in control.get(f"/v1/timeline?after={self._seen[source]}"):
                self._seen[source] = event["seq"]
                self._pending.append((seconds(event["time"]), event["node"], event["kind"], event["detail"]))

    def _tell(self, when, node, kind, detail):
        for index, (wanted_node, wanted_kind, pattern, phase, text) in enumerate(STORY):
            if (node, kind) == (wanted_node, wanted_kind) and re.match(pattern, detail) and index not in self._told:
                self._told.add(index)
                return when, node, text, phase
        return None


SOURCES = ("agent", "relay")


def seconds(time_text):
    """ISO 8601 with any number of digits, as Java writes it."""
    whole, _, fraction = time_text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def mib(count):
    return f"{count / MIB:.1f} MiB"


class Demo:
    def __init__(self, terminal):
        self._terminal = terminal
        self._failed = []
        self._step = 0

    def run(self):
        """Returns the exit status."""
        began = time.monotonic()
        self._terminal.title("vmferry demo: a running VM moves with its disk, without shared storage")
        self._prepare()
        with Lab() as lab:
            try:
                lab.wan.set(delay_ms=RTT_MS / 2, rate_mbit=RATE_MBIT)
                self._next("Two hosts, hosta and hostb, each with libvirt and vmferry, and a WAN between them")
                self._show_wan(lab)
                with Product(lab) as product:
                    self._play(lab, product)
            except BaseException:
                self._keep_logs()
                raise
            if self._failed:
                self._keep_logs()
        self._terminal.say(f"It took {time.monotonic() - began:.0f} s. Both hosts are gone again.")
        for text in self._failed:
            print(f"demo: failed: {text}", file=sys.stderr)
        return 1 if self._failed else 0

    # ---- the six steps ----

    def _prepare(self):
        packages.install_missing()
        if not jar.is_current():
            self._terminal.say("Building vmferry with Maven; this is done once ...")
            jar.build()
        image.build()

    def _show_wan(self, lab):
        ping = lab.a.run(["ping", "-q", "-c", "5", "-i", "0.2", "hostb"]).stdout
        rtt = re.search(r"= [\d.]+/([\d.]+)/", ping).group(1)
        self._terminal.say(f"The WAN: {RATE_MBIT} Mbit/s; a ping from hosta to hostb takes {rtt} ms.")

    def _play(self, lab, product):
        vm = self._boot(lab, product)
        migration = self._migrate(lab, product, vm)
        fetch, copied_in = self._copy(lab, product, vm)
        silence = self._kill_source(lab, vm)
        self._compare(lab, product, vm)
        self._summarise(vm, lab, migration, fetch, copied_in, silence)

    def _boot(self, lab, product):
        self._next(f"A VM on hosta, with a disk of {VOLUME_BYTES // MIB} MiB behind vmferry's relay")
        product.create_volume(VOLUME, VOLUME_BYTES, FILL)
        volume = product.a.volume(VOLUME)
        self._terminal.say(
            f"The volume '{VOLUME}' is on hosta only: {mib(volume['allocated'])} of data, the rest are holes. The VM's "
            "load writes and reads at random places and checks every block that it reads."
        )
        vm = Vm(lab, [VOLUME], fill=FILL, rate=GUEST_IOPS, reads=GUEST_READS)
        vm.start(lab.a)
        vm.await_stat(lab.a, 1)
        self._show_guest(lab.a, vm.await_stat(lab.a, 2))
        return vm

    def _migrate(self, lab, product, vm):
        self._next("The VM moves; this is all that a person types")
        self._terminal.command("hosta", shlex.join(MIGRATE))
        story = Story(product)
        with vm.heartbeat(lab.a, lab.b) as heartbeat:
            began, began_wall = time.monotonic(), time.time()
            virsh = lab.a.popen(
                MIGRATE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            while virsh.poll() is None:
                if time.monotonic() - began > MIGRATION_TIMEOUT:
                    raise TimeoutError(f"virsh has not ended after {MIGRATION_TIMEOUT} s")
                self._tell(story.new(), began_wall)
                time.sleep(POLL)
            took = time.monotonic() - began
            if virsh.returncode:
                raise RuntimeError(f"virsh ended with status {virsh.returncode}: {virsh.stdout.read().strip()}")
            heartbeat.await_destination()
            deadline = time.monotonic() + STORY_TIMEOUT
            while not story.complete and time.monotonic() < deadline:
                self._tell(story.new(), began_wall)
                time.sleep(POLL)
        self._terminal.say(
            f"virsh is done after {took:.1f} s. The VM stood still for {heartbeat.downtime * 1000:.0f} ms."
        )
        self._check(sorted(story.phases) == [1, 2, 3, 4, 5], "all five phases were seen")
        return Migration(heartbeat.downtime, heartbeat.beats["hostb"][0] - began)

    def _tell(self, events, began):
        for when, host, text, phase in events:
            self._terminal.event(when - began, host, text, strong=phase is not None)

    def _copy(self, lab, product, vm):
        self._next("The VM runs on hostb; its disk follows in the background")
        began = time.monotonic()
        while True:
            volume = product.b.volume(VOLUME)
            if volume["state"] == "SERVING":
                break
            if volume["failure"] or time.monotonic() - began > COPY_TIMEOUT:
                raise RuntimeError(f"volume {VOLUME} on hostb does not become complete: {volume}")
            self._terminal.progress(volume["present"] / volume["size"], progress_text(volume))
            time.sleep(POLL)
        took = time.monotonic() - began
        self._terminal.end_progress()
        self._terminal.say(f"Complete after {took:.1f} s: every block is on hostb's disk, and hosta is not needed.")
        self._show_guest(lab.b, vm.lines(lab.b, "stat")[-2:])
        return volume["fetch"], took

    def _kill_source(self, lab, vm):
        self._next("hosta dies: relay, agent, libvirtd and network are killed at once")
        with vm.heartbeat(lab.b) as heartbeat:
            lab.wan.cut()  # first, so that no process of hosta can say goodbye
            lab.a.kill()
            lab.a.wait_gone()
            gone = lab.b.run(["ping", "-q", "-c", "1", "-W", "1", "hosta"], check=False).returncode != 0
            self._check(gone, "hosta does not answer any more")
            after = []
            for _ in range(LINES_AFTER_KILL):
                after += vm.await_stat(lab.b, 1)
                self._show_guest(lab.b, after[-1:])
        self._check(vm.state(lab.b).startswith("running"), "the VM runs on hostb")
        self._check(all(int(s["writes"]) and int(s["reads"]) for s in after), "it reads and writes every second")
        return heartbeat.longest_silence

    def _compare(self, lab, product, vm):
        self._next("What the guest wrote is compared with what is on hostb's disk")
        believed = vm.sum(lab.b)[VOLUME]
        self._terminal.say(f"The guest stops its load and prints the digest of what it wrote: {believed}")
        vm.command(lab.b, "off")
        wait_for(lambda: vm.state(lab.b) is None, 15, "the VM is shut down")
        self._terminal.command("hostb", f"vmferry volume export {VOLUME} {EXPORTED}")
        product.b.cli("volume", "export", VOLUME, EXPORTED)
        verdict = verify_image(lab.b.root / EXPORTED.lstrip("/"), VOLUME)
        self._terminal.say(f"The exported image has the digest: {verdict.digest}")
        self._check(verdict.digest == believed, f"all {verdict.sectors} sectors are what the guest wrote")
        self._check(verdict.broken == 0, "no sector is torn")

    def _summarise(self, vm, lab, migration, fetch, copied_in, silence):
        stat = vm.lines(lab.b, "stat")[-1]
        sent = fetch["demand"] + fetch["background"]
        self._terminal.title("\nSummary")
        self._terminal.table(
            [
                ("downtime, as the guest saw it", f"{migration.downtime * 1000:.0f} ms"),
                ("from the command until the VM ran on hostb", f"{migration.ran_after:.1f} s"),
                ("from then until the disk was complete there", f"{copied_in:.1f} s"),
                ("fetched because the guest waited for it", mib(fetch["demand"])),
                ("fetched in the background", mib(fetch["background"])),
                ("never sent: holes", mib(fetch["holes"])),
                ("never sent: overwritten first", mib(fetch["overwritten"])),
                ("longest silence of the guest when hosta died", f"{silence * 1000:.0f} ms"),
                ("I/O errors in the guest", stat["errors"]),
                ("wrong blocks read by the guest", stat["mismatches"]),
            ]
        )
        total = sent + fetch["holes"] + fetch["overwritten"]
        self._check(total == VOLUME_BYTES, f"the four amounts are the whole volume, {mib(VOLUME_BYTES)}")
        self._check(stat["errors"] == "0", "the guest had no I/O error")
        self._check(stat["mismatches"] == "0", "the guest never read a wrong block")

    # ---- what they share ----

    def _next(self, text):
        self._step += 1
        self._terminal.step(self._step, STEPS, text)

    def _show_guest(self, host, stats):
        for stat in stats:
            self._terminal.say(
                f"guest on {host.name}: {stat['reads']} reads/s, {stat['writes']} writes/s, slowest "
                f"{float(stat['worst_ms']):.0f} ms, {stat['errors']} errors, {stat['mismatches']} wrong"
            )

    def _check(self, passed, text):
        self._terminal.check(passed, text)
        if not passed:
            self._failed.append(text)

    def _keep_logs(self):
        folder = TARGET / "logs" / "demo"
        timeline.keep(folder)
        print(f"demo: the logs of both hosts are in {folder}, timeline.txt has all of them", file=sys.stderr)


class Migration:
    """Times in seconds: how long the guest stood still, and when it ran again after the command."""

    def __init__(self, downtime, ran_after):
        self.downtime = downtime
        self.ran_after = ran_after


def progress_text(volume):
    fetch = volume["fetch"]
    eta = fetch["etaSeconds"]
    text = f"{fetch['rate'] / MIB:4.1f} MiB/s  ETA {'-' if eta is None else f'{eta:.0f} s'}"
    return text + (f"  waits for {volume['waitingFor']}" if volume["waitingFor"] else "")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        status = Demo(Terminal()).run()
    except KeyboardInterrupt:
        sys.exit("\ndemo: interrupted; nothing is left behind")
    except (LabError, OSError, RuntimeError, TimeoutError, subprocess.SubprocessError) as problem:
        sys.exit(f"demo: {problem}")
    sys.exit(status)


if __name__ == "__main__":
    main()
