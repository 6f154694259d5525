# SPDX-License-Identifier: Apache-2.0
"""The partition table: the way between two relays is cut just before a request is handled, or just before its answer
is known, for each message of a handover; for a moment, for longer than the heartbeat takes to notice, or for ever;
while the other relay lives, is killed, or is paused.

In each case: never two owners, on disk or in what the relays say; the status says what is waited for; no acknowledged
write is lost; and when the way is whole again both sides agree, the guest's I/O goes on, and the move ends.

A sample, drawn by --partition-seed, is in the normal run; --partitions=whole runs all cases.
"""

import itertools
import json
import random
import threading
import time
import uuid
from dataclasses import dataclass

import pytest

from lab.nbd_client import MIB, NbdClient
from lab.peer_proxy import PeerProxy
from lab.product import CONFIG, ControlError
from lab.relays import FROZEN, await_closed, await_complete, await_link, fill_volume, peer, set_rate, take_over
from lab.sector_history import SECTOR, SectorHistory, image
from lab.waiting import patient, wait_for

SIZE = 2 * MIB
SECTORS = SIZE // SECTOR
BLOCK = 8  # sectors

# Seconds.
SHORT = 1  # less than the heartbeat's 5
LONG = 8  # the heartbeat notices, and attempts to connect again fail
EVER = 3  # until the relays that know of the cut are killed
NOTICED = 10  # from a cut to what the status says of it
HIT = 15  # until the armed message comes
GOES_ON = 30  # after the cut: back-off, restarts, what is asked again

# message -> role of the connection
MESSAGES = {
    "hello": ("hello", "control"),
    "locate": ("locate", "control"),
    "attach": ("attach", "control"),
    "takeover": ("takeover", "control"),
    "demand read": ("read", "demand"),
    "bulk read": ("read", "bulk"),
    "complete": ("complete", "control"),
    "detach": ("detach", "control"),
}
SAMPLE = 10


@dataclass(frozen=True)
class Case:
    message: str
    direction: str  # "request" is lost, or the "answer"
    cut: str
    other: str  # what becomes of the other relay at that moment

    def __str__(self):
        return f"{self.message}-{self.direction}-{self.cut}-{self.other}".replace(" ", "-")


def table():
    """All cases. To be paused for ever is to be killed."""
    every = itertools.product(MESSAGES, ("request", "answer"), ("short", "long", "ever"), ("alive", "killed", "paused"))
    return [case for case in itertools.starmap(Case, every) if (case.cut, case.other) != ("ever", "paused")]


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = table()
        if metafunc.config.getoption("--partitions") != "whole":
            dice = random.Random(metafunc.config.getoption("--partition-seed"))
            # Each message at least once; the long cuts, which take long, are in the whole table.
            cases = [dice.choice([case for case in cases if case.message == message]) for message in MESSAGES]
            rest = [case for case in table() if case not in cases and case.cut == "short"]
            cases += dice.sample(rest, SAMPLE - len(cases))
        metafunc.parametrize("case", cases, ids=str)


@pytest.fixture(scope="module")
def proxy(_shared_relays):
    """The way from hostb to hosta leads through a proxy; hosta's own way to hostb is the WAN."""
    relays = _shared_relays
    with PeerProxy(relays.b, relays.a) as running:
        config = relays.b.host.root / CONFIG.lstrip("/")
        before = config.read_text()
        config.write_text(before.replace(f"hosta: {relays.a.host.address}:7820", f"hosta: {running.address}"))
        assert running.address in config.read_text()
        restart(relays.b)
        yield running
        config.write_text(before)


def restart(node):
    node.kill("relay")
    node.start("relay")


class Handover:
    """One volume on its way from hosta to hostb, with the messages of that way.

    `before_MESSAGE` brings it to the point where hostb sends the message next, `send_MESSAGE` makes it do so, and
    `after_MESSAGE` waits for what it was for.
    """

    def __init__(self, relays, proxy, name):
        self.relays, self.proxy, self.name = relays, proxy, name
        self.a, self.b = relays.a, relays.b
        self.domain = str(uuid.uuid4())
        self.history = SectorHistory(SECTORS)
        self.client = None  # at hostb
        self.pending = None  # (command, what the history knows it by, first sector) at hostb
        self._asked = None

    # ---- the messages

    def before_hello(self):
        self.before_demand_read()

    def send_hello(self):
        self.proxy.drop()

    def after_hello(self):
        await_link(self.b)

    def before_locate(self):
        fill_volume(self.a, self.name, SIZE, [(0, image(0, SECTORS))])
        self.write(self.a)
        await_closed(self.a, self.name)

    before_attach = before_locate

    def send_locate(self):
        """As the hook does: it waits for the answer, and says no if there is none."""
        self._asked = threading.Thread(target=self._attach, daemon=True)
        self._asked.start()

    def send_attach(self):
        self.send_locate()

    def _attach(self):
        try:
            self.b.relay.post("/v1/standbys", {"domain": self.domain, "volumes": [self.name], "owner": "hosta"})
        except (ControlError, OSError, ValueError):
            pass  # refused, or killed under it; asked again

    def after_locate(self):
        self._asked.join(GOES_ON)
        assert not self._asked.is_alive()

        def attached():
            self._attach()
            volume = self.b.volume(self.name)
            return volume and volume["state"] == "STANDBY"

        wait_for(attached, GOES_ON, f"{self.name} is attached", 0.2)

    after_attach = after_locate

    def before_takeover(self):
        self.before_locate()
        self._attach()
        self.client = NbdClient(self.b, self.name)

    def send_takeover(self):
        """A guest's first write is the request."""
        write = self.history.write(0, BLOCK)
        self.pending = (self.client.begin("write", 0, BLOCK * SECTOR, self.history.data(write)), write, 0)
        self.client.poll(0.01)

    def after_takeover(self):
        self.finish_pending()
        assert self.says_owner(self.b)  # in fetch mode, or complete already

    def before_demand_read(self):
        self.before_locate()
        take_over(self.a, self.b, self.name, rate=FROZEN)
        self.client = NbdClient(self.b, self.name)
        self.write_local()

    def send_demand_read(self):
        first = SECTORS - 4 * BLOCK
        self.pending = (self.client.begin("read", first * SECTOR, BLOCK * SECTOR), None, first)
        self.client.poll(0.01)

    def after_demand_read(self):
        self.finish_pending()

    def before_bulk_read(self):
        self.before_demand_read()

    def send_bulk_read(self):
        set_rate(self.b, None)

    def after_bulk_read(self):
        set_rate(self.b, None)  # a restarted relay has forgotten it; no cap is its default
        await_complete(self.b, self.name, GOES_ON)

    before_complete = before_bulk_read
    send_complete = send_bulk_read

    def after_complete(self):
        self.after_bulk_read()
        wait_for(lambda: self.a.volume(self.name)["completeAt"] == "hostb", GOES_ON, "hosta knows that hostb is complete")

    def before_detach(self):
        """hostb made the volume and gave it away; its copy is deleted."""
        fill_volume(self.b, self.name, SIZE, [(0, image(0, SECTORS))])
        self.write(self.b)
        await_closed(self.b, self.name)
        take_over(self.b, self.a, self.name)
        await_complete(self.a, self.name, GOES_ON)
        wait_for(lambda: self.b.volume(self.name)["completeAt"], GOES_ON, "hostb knows that hosta is complete")

    def send_detach(self):
        self.b.relay.delete(f"/v1/volumes/{self.name}")

    def after_detach(self):
        """Nobody repeats it: hosta may keep an entry for a copy that is gone, which costs a little memory."""
        assert self.b.volume(self.name) is None
        assert self.a.volume(self.name)["state"] == "SERVING"

    # ---- the guest

    def write(self, node):
        """Acknowledged writes all over the volume, at a node that has it all; not flushed."""
        with NbdClient(node, self.name) as client:
            for first in range(0, SECTORS, 16 * BLOCK):
                self.write_at(client, first)

    def write_local(self):
        """What a guest at hostb may do without the other side: whole blocks."""
        for first in range(BLOCK, SECTORS, 64 * BLOCK):
            self.write_at(self.client, first)
            self.history.check_now(first, self.client.read(first * SECTOR, BLOCK * SECTOR, timeout=5))

    def write_at(self, client, first):
        write = self.history.write(first, BLOCK)
        client.write(first * SECTOR, self.history.data(write), timeout=5)
        self.history.written(write)

    def finish_pending(self):
        """The held request is answered."""
        command, write, first = self.pending
        self.client.finish(command, GOES_ON)
        self.pending = None
        if write is not None:
            self.history.written(write)
        else:
            self.history.check_now(first, bytes(command.buffer.to_bytearray()))

    def reconnect(self):
        """hostb's relay was killed: the client connects again and asks again, as QEMU does."""
        if self.client is not None:
            self.client = NbdClient(self.b, self.name)
            if self.pending is not None:
                self.client.submit(self.pending[0])

    # ---- what must always be true

    def assert_one_owner(self):
        # The volume only moves from a to b. Asked in the other order, one that moves in between would be seen twice.
        nodes = (self.b, self.a)
        owners = [node.host.name for node in nodes if on_disk(node, self.name)[0] in ("SERVING", "FETCHING")]
        assert len(owners) <= 1, f"two owners on disk: {owners}"
        said = [node for node in nodes if is_up(node) and self.says_owner(node)]
        assert len(said) <= 1, "both relays say that they own the volume"

    def says_owner(self, node):
        volume = node.volume(self.name)
        return volume is not None and volume["state"] in ("SERVING", "FETCHING")

    def watch(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.assert_one_owner()
            if self.client is not None and self.says_owner(self.b):
                self.write_local()
            time.sleep(0.1)

    def end(self):
        """The move goes on to its end, both sides agree, and every acknowledged write is there."""
        if self.client is not None:
            self.write_local()
            self.client.close()
            self.client = None
            await_closed(self.b, self.name)
        for node in self.relays.nodes:
            await_link(node)
        if not self.says_owner(self.b):
            take_over(self.a, self.b, self.name)
        set_rate(self.b, None)
        await_complete(self.b, self.name, GOES_ON)
        wait_for(lambda: self.a.volume(self.name)["completeAt"] == "hostb", GOES_ON, "hosta knows that hostb is complete")
        self.assert_one_owner()
        source, destination = self.a.volume(self.name), self.b.volume(self.name)
        assert source["state"] == "RELEASED" and source["epoch"] == destination["epoch"]
        assert on_disk(self.b, self.name) == ("SERVING", f"{destination['epoch']['number']}@hostb")
        with NbdClient(self.b, self.name) as client:
            for offset in range(0, SIZE, MIB):
                self.history.check_now(offset // SECTOR, client.read(offset, min(MIB, SIZE - offset)))
        await_closed(self.b, self.name)
        for node in self.relays.nodes:
            node.relay.delete(f"/v1/volumes/{self.name}")


def on_disk(node, name):
    """(state, epoch) of the volume's durable record; (None, None) if there is none."""
    path = node.host.root / "var/lib/vmferry/volumes" / name / "volume.state"
    try:
        line, _, payload = path.read_text().partition("\n")
    except FileNotFoundError:
        return None, None
    epoch = next(word.removeprefix("epoch=") for word in line.split() if word.startswith("epoch="))
    return json.loads(payload)["state"], epoch


def is_up(node):
    return node.running("relay") and not node.service("relay").paused


def test_partition(relays, proxy, case):
    relays.calm()
    handover = Handover(relays, proxy, f"p-{case}")
    step = case.message.replace(" ", "_")
    getattr(handover, f"before_{step}")()
    message, role = MESSAGES[case.message]
    proxy.arm(message, role, case.direction)
    getattr(handover, f"send_{step}")()
    await_cut(proxy, handover)
    relays.wan.cut()
    strike(relays.a, case.other)
    handover.watch({"short": SHORT, "long": LONG, "ever": EVER}[case.cut])
    if case.cut == "long":
        assert_status_tells(handover, case)
    if case.cut == "ever":
        relays.b.kill("relay")
        if relays.a.running("relay"):
            relays.a.kill("relay")
    repair(relays, proxy)
    if case.cut == "ever":
        handover.reconnect()
    handover.assert_one_owner()
    getattr(handover, f"after_{step}")()
    handover.assert_one_owner()
    handover.end()


def await_cut(proxy, handover):
    """The client must be asked to move its request while the proxy waits for the message."""
    if handover.client is not None:
        handover.client.poll(0.05)
    proxy.await_cut(patient(HIT))


def strike(node, fate):
    if fate == "killed":
        node.kill("relay")
    elif fate == "paused":
        node.service("relay").pause()


def repair(relays, proxy):
    """The way is whole again, and whoever was killed or paused runs."""
    relays.wan.heal()
    proxy.heal()
    if relays.a.service("relay").paused:
        relays.a.service("relay").resume()
    for node in relays.nodes:
        if not node.running("relay"):
            node.begin("relay")
    for node in relays.nodes:
        node.await_ready("relay")


def assert_status_tells(handover, case):
    """hostb says that its link is down and why, and, where somebody waits, for what."""
    b = handover.b
    wait_for(lambda: not peer(b)["up"] and peer(b)["problem"], NOTICED, "the status says that the link is down", 0.1)
    if handover.pending is not None:
        waits = wait_for(lambda: b.volume(handover.name)["waitingFor"], NOTICED, "the status says what is waited for", 0.1)
        assert "hosta" in waits
