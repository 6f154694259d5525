# SPDX-License-Identifier: Apache-2.0
"""A host loses power: its relay dies, its /run is empty, and its disk forgets what was not forced.

All that was acknowledged and flushed is there afterwards, no block counts as held that isn't, and what is kept about
other nodes' copies errs to stale. The loads, and the moments of the losses, are drawn from seeds.
"""

import random
import time
import uuid

import pytest

from lab.nbd_client import MIB, NbdClient
from lab.product import CONFIG
from lab.relays import FROZEN, await_closed, await_complete, await_link, fill_volume, set_rate, take_over
from lab.sector_history import SECTOR, SectorHistory, image
from lab.stamped_load import StampedLoad
from lab.volatile_disk import VolatileDisk
from lab.waiting import wait_for

STATE = "/var/lib/vmferry"
DISK = 512 * MIB
FETCHED = 64 * MIB  # so much that blocks are missing until the last loss
GIVEN = 8 * MIB
PIECE = MIB

DESTINATION_LOSSES = 13
SOURCE_LOSSES = 7
LONGEST_LOAD = 0.8  # seconds
AROUND_TAKEOVER = 0.12  # seconds: from its request to after its commit at the other side
TAKEN_OVER = 30  # seconds, for a relay's start, a link's back-off and the takeover


class Always:
    """Dice of which always as many sectors survive."""

    def __init__(self, survive):
        self._survive = survive

    def choice(self, _):
        return self._survive

    def randrange(self, _):
        return 1


class PowerLoss:
    """A node whose state is on a disk that forgets."""

    def __init__(self, relays, node, dice):
        self._relays = relays
        self.node = node
        self._config = node.host.root / CONFIG.lstrip("/")
        self._before = self._config.read_text()
        node.kill("relay")
        self._disk = VolatileDisk(node.host, STATE, DISK, dice)

    def __enter__(self):
        self._disk.__enter__()
        # The cap of the command is forgotten at a restart, and a volume of this size would be complete at once.
        self._config.write_text(f"{self._before}copy:\n  rate-limit: {FROZEN} B/s\n")
        self.node.start("relay")
        self._relays.calm()
        return self

    def __exit__(self, *exception):
        self.node.kill("relay")
        self._disk.__exit__(*exception)
        self._empty_run()
        self._config.write_text(self._before)
        self.node.start("relay")

    def strike(self):
        """All at once; the host is off then."""
        self._disk.lose_power(self.node.service("relay"))
        self._empty_run()

    def boot(self):
        self._disk.return_power()
        self.node.start("relay")

    def _empty_run(self):
        self.node.host.run(["sh", "-c", "rm -rf /run/vmferry/*"])


@pytest.fixture(autouse=True)
def calm(relays):
    relays.calm()


def make_volume(node, name, size):
    """A volume full of stamped sectors, and its history."""
    history = SectorHistory(size // SECTOR)
    fill_volume(node, name, size, [(0, image(0, history.sectors))])
    return history


def read(client, sectors):
    """(first, bytes) of all these sectors, in pieces."""
    runs = []
    for sector in sorted(sectors):
        if runs and runs[-1][1] == sector and sector - runs[-1][0] < PIECE // SECTOR:
            runs[-1][1] += 1
        else:
            runs.append([sector, sector + 1])
    for first, end in runs:
        yield first, client.read(first * SECTOR, (end - first) * SECTOR)


def check_after_power_loss(client, history, sectors):
    """Every one of these sectors is right; returns how many lost something that they were allowed to lose."""
    lost = 0
    for first, data in read(client, sectors):
        history.check_after_power_loss(first, data)
        before = b"".join(content_now(history, first, len(data) // SECTOR))
        lost += sum(before[n : n + SECTOR] != data[n : n + SECTOR] for n in range(0, len(data), SECTOR))
        history.settle(first, data)
    return lost


def content_now(history, first, count):
    return (image(sector, 1, history.now(sector)) for sector in range(first, first + count))


def owners(relays, name):
    volumes = [node.volume(name) for node in relays.nodes]
    return [volume["epoch"]["owner"] for volume in volumes if volume and volume["state"] in ("SERVING", "FETCHING")]


# ---- the disk of these tests


@pytest.mark.parametrize("survive", [0, 500])
def test_the_disk_forgets_what_was_not_forced_and_nothing_else(relays, survive):
    node, files = relays.b, range(20)
    with PowerLoss(relays, node, Always(survive)) as power:
        folder = node.host.root / STATE.lstrip("/")
        for number in files:
            (folder / f"written{number}").write_bytes(bytes(MIB // 4))
            (folder / f"forced{number}").write_text("old")
        node.host.run(["sync"])
        for number in files:
            (folder / f"forced{number}").write_text("new")
            node.host.run(["sync", "--data", f"{STATE}/forced{number}"])
        for number in files:  # in place: the page cache is written to the disk, which isn't told to force it
            node.host.run(["dd", "if=/dev/urandom", f"of={STATE}/written{number}", "bs=64k", "count=4", "oflag=direct", "conv=notrunc"])
        (folder / "created").write_text("never forced")
        power.strike()
        power.boot()
        assert {(folder / f"forced{number}").read_text() for number in files} == {"new"}
        assert not (folder / "created").exists()
        written = b"".join((folder / f"written{number}").read_bytes() for number in files)
        sectors = [written[at : at + SECTOR] for at in range(0, len(written), SECTOR)]
        assert 1000 * sum(map(any, sectors)) / len(sectors) == pytest.approx(survive, abs=30)


# ---- the destination


def test_power_loss_at_the_destination_while_it_fetches(relays):
    """The relay reads what it lost from the origin again, and never the guest's flushed writes."""
    name, dice = "dark-destination", random.Random(21)
    history = make_volume(relays.a, name, FETCHED)
    lost = answers = 0
    with PowerLoss(relays, relays.b, dice) as power:
        take_over(relays.a, relays.b, name, rate=FROZEN)
        before = relays.b.volume(name)["epoch"]
        for _ in range(DESTINATION_LOSSES):
            load = StampedLoad(NbdClient(relays.b, name), history, dice)
            set_rate(relays.b, dice.choice([FROZEN, FROZEN, 2 * MIB]))
            load.run(dice.uniform(0.1, LONGEST_LOAD))
            power.strike()
            load.take_last_answers()
            answers += sum(load.answers.values())
            power.boot()
            await_link(relays.b)
            volume = relays.b.volume(name)
            assert (volume["state"], volume["epoch"], volume["failure"]) == ("FETCHING", before, None)
            assert owners(relays, name) == ["hostb"]
            with NbdClient(relays.b, name) as client:
                lost += check_after_power_loss(client, history, load.seen)
        set_rate(relays.b, None)
        await_complete(relays.b, name)
        with NbdClient(relays.b, name) as client:
            assert check_after_power_loss(client, history, range(history.sectors)) == 0
        print(f"{DESTINATION_LOSSES} losses, {answers} answers, {lost} sectors lost that were not flushed")
        assert lost > 0  # or the disk lost nothing, and this test proves nothing

        # What the new owner keeps for the old one is in /run: it must err to stale.
        wait_for(lambda: relays.a.volume(name)["completeAt"] == "hostb", 10, "hosta knows that hostb is complete")
        with NbdClient(relays.b, name) as client:
            write = history.write(64, 8)
            client.write(64 * SECTOR, history.data(write))
            history.written(write)
            client.flush()
            history.flushed(history.flush())
        power.strike()
        power.boot()
        await_link(relays.a)
        assert relays.b.volume(name)["replicas"] == [{"node": "hosta", "stale": FETCHED}]
        take_over(relays.b, relays.a, name)
        await_complete(relays.a, name)
        with NbdClient(relays.a, name) as client:
            assert check_after_power_loss(client, history, range(history.sectors)) == 0


# ---- the source


def test_power_loss_at_the_source_around_the_takeover(relays):
    """If the source gave the volume away, the destination has all that was acknowledged at the source, flushed or
    not; if it did not come to that, all that was flushed."""
    dice = random.Random(22)
    granted_before = 0
    with PowerLoss(relays, relays.a, dice) as power:
        for number in range(SOURCE_LOSSES):
            name = f"dark-source-{number}"
            history = make_volume(relays.a, name, GIVEN)
            load = StampedLoad(NbdClient(relays.a, name), history, dice)
            load.run(dice.uniform(0.1, LONGEST_LOAD))
            load.drain(10)
            load.close()
            await_closed(relays.a, name)

            set_rate(relays.b, FROZEN)
            standby = {"domain": str(uuid.uuid4()), "volumes": [name], "owner": "hosta"}
            relays.b.relay.post("/v1/standbys", standby)
            with NbdClient(relays.b, name) as client:
                first = history.write(0, 8)
                command = client.begin("write", 0, 8 * SECTOR, history.data(first))
                move_until(client, dice.uniform(0, AROUND_TAKEOVER))
                power.strike()
                granted = relays.b.volume(name)["state"] == "FETCHING"
                granted_before += granted
                power.boot()
                client.finish(command, TAKEN_OVER)
                history.written(first)
                assert relays.a.volume(name)["state"] == "RELEASED"
                assert owners(relays, name) == ["hostb"]
                set_rate(relays.b, None)
                await_complete(relays.b, name)
                check = history.check_after_kill if granted else history.check_after_power_loss
                for start, data in read(client, range(history.sectors)):
                    check(start, data)
            await_closed(relays.b, name)
            wait_for(lambda: relays.a.volume(name)["completeAt"], 10, "hosta knows that hostb is complete")  # noqa: B023
            for node in relays.nodes:
                node.relay.delete(f"/v1/volumes/{name}")
    print(f"{SOURCE_LOSSES} losses, {granted_before} after the takeover was granted")
    assert 0 < granted_before < SOURCE_LOSSES  # both sides of the commit were hit


def move_until(client, seconds):
    """The client sends its request while the time passes."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        client.poll(left)
