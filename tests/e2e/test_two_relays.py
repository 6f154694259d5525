# SPDX-License-Identifier: Apache-2.0
"""Two relays over the WAN, without a VM and without agents: a volume is filled at hosta, a client at hostb takes it over.

All tests share one lab and two relays; each has volumes of its own.
"""

import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from lab import nbd_holder
from lab.nbd_client import (
    BLOCK,
    MIB,
    NbdClient,
    RandomLoad,
    assert_content,
    assert_same,
    content,
)
from lab.relays import (
    FROZEN,
    await_complete,
    await_link,
    fill_volume,
    is_complete,
    link_up,
    set_rate,
    take_over,
)
from lab.vm import NBD_SOCKET
from lab.waiting import wait_for

RATE_MBIT = 100
DELAY_MS = 10  # one way

COMPLETE_TIMEOUT = 60  # seconds
NOTICED = 10  # seconds, from a dead line to `up: false`: 5 silent beats of a second, on a busy machine

TIB = 1 << 40
MEMORY_LIMIT = 480 * MIB  # of a relay with 256 MiB heap that serves a 1 TiB volume
START_LIMIT = 8  # seconds for a relay with such a volume; a JVM alone takes 1 to 3 on a busy machine


@pytest.fixture(autouse=True)
def calm(relays):
    relays.calm(DELAY_MS, RATE_MBIT)


# ---- what the tests say


def random_bytes(length, seed):
    return random.Random(seed).randbytes(length)


def make_volume(node, name, size, islands):
    """A volume with data at some places, closed again; returns its content."""
    fill_volume(node, name, size, islands)
    if size >= TIB:
        return None
    image = bytearray(size)
    for offset, data in islands:
        image[offset : offset + len(data)] = data
    return image


def make_full_volume(node, name, size, seed=1):
    return make_volume(node, name, size, [(0, random_bytes(size, seed))])


def fetched(node, name):
    """Bytes that came over the WAN, as the relay counts them."""
    fetch = node.volume(name)["fetch"]
    return fetch["demand"] + fetch["background"]


def assert_equal(node, name, image):
    with NbdClient(node, name) as client:
        assert_content(client, image)


class Traffic:
    """Bytes that the WAN delivered in one direction since this was made."""

    def __init__(self, relays, direction):
        self._wan, self._direction = relays.wan, direction
        self._before = self._now()

    def _now(self):
        return self._wan.show()[self._direction].bytes

    @property
    def bytes(self):
        return self._now() - self._before


class Holder:
    """A process on a host that has a volume open."""

    def __init__(self, node, volume):
        command = [sys.executable, nbd_holder.__file__, NBD_SOCKET, volume]
        self._process = node.host.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "open\n"

    def tell(self, line):
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def drop(self):
        self.tell("drop")
        assert self._process.stdout.readline() == "dropped\n"

    def end(self):
        self.tell("end")
        self._process.wait(10)

    def kill(self):
        [child] = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        subprocess.run(["kill", "-KILL", child], check=True)
        self._process.wait(10)


# ---- every read equals the reference


def test_every_read_equals_the_reference_while_the_copy_runs(relays):
    image = make_full_volume(relays.a, "steady", 48 * MIB)
    take_over(relays.a, relays.b, "steady", rate=6 * MIB)
    load = RandomLoad(relays.b, "steady", image, seed=11)
    load.run(lambda: is_complete(relays.b, "steady"), COMPLETE_TIMEOUT)
    print(load.done, relays.b.volume("steady")["fetch"])
    assert min(load.done.values()) > 5
    fetch = relays.b.volume("steady")["fetch"]
    assert min(fetch["demand"], fetch["background"], fetch["overwritten"]) > MIB
    assert fetch["demand"] + fetch["background"] + fetch["overwritten"] + fetch["holes"] == len(image)
    assert_equal(relays.b, "steady", image)


def test_every_read_equals_the_reference_with_loss_and_a_changing_rate(relays):
    image = make_full_volume(relays.a, "lossy", 32 * MIB)
    relays.wan.set(loss_percent=1)
    take_over(relays.a, relays.b, "lossy", rate=6 * MIB)
    load = RandomLoad(relays.b, "lossy", image, seed=12)
    changes = [(1, 20), (2, 200), (3, 5), (4, 100)]  # seconds, Mbit/s
    load.run(
        lambda: is_complete(relays.b, "lossy"),
        COMPLETE_TIMEOUT,
        at=[(second, lambda rate=rate: relays.wan.set(rate_mbit=rate)) for second, rate in changes],
    )
    assert relays.wan.show()["ab"].dropped_loss > 0
    relays.wan.set(loss_percent=0)
    assert_equal(relays.b, "lossy", image)


def test_every_read_equals_the_reference_when_the_wan_is_cut_and_healed(relays):
    image = make_full_volume(relays.a, "cut", 32 * MIB)
    take_over(relays.a, relays.b, "cut", rate=3 * MIB)
    load = RandomLoad(relays.b, "cut", image, seed=13)
    load.run(
        lambda: is_complete(relays.b, "cut"),
        COMPLETE_TIMEOUT,
        at=[
            (1.5, in_fetch_mode(relays.b, "cut", relays.wan.cut)),
            (4.5, in_fetch_mode(relays.b, "cut", relays.wan.heal)),
            (4.6, lambda: set_rate(relays.b, None)),
        ],
    )
    assert_equal(relays.b, "cut", image)


@pytest.mark.parametrize("victim", ["destination", "source"])
def test_every_read_equals_the_reference_when_a_relay_is_killed_and_restarted(relays, victim):
    name = f"{victim}-killed"
    node = relays.b if victim == "destination" else relays.a
    image = make_full_volume(relays.a, name, 32 * MIB)
    take_over(relays.a, relays.b, name, rate=2 * MIB)
    load = RandomLoad(relays.b, name, image, seed=14)
    load.run(
        lambda: node.running("relay") and is_complete(relays.b, name),
        COMPLETE_TIMEOUT,
        at=[
            (1.5, in_fetch_mode(relays.b, name, lambda: node.kill("relay"))),
            (2.0, lambda: node.begin("relay")),
            (2.1, lambda: node.await_ready("relay")),
            (2.2, in_fetch_mode(relays.b, name, lambda: None)),
        ],
    )
    assert load.reconnects == (1 if victim == "destination" else 0)
    assert_equal(relays.b, name, image)


def in_fetch_mode(node, name, action):
    """An event of the load that would prove nothing after the volume is complete."""

    def event():
        assert node.volume(name)["state"] == "FETCHING"
        action()

    return event


def test_r3_a_cut_wan_holds_reads_of_missing_blocks_and_nothing_else(relays):
    image = make_full_volume(relays.a, "held-reads", 8 * MIB)
    take_over(relays.a, relays.b, "held-reads", rate=FROZEN)
    with NbdClient(relays.b, "held-reads") as client:
        near = 5 * MIB
        assert_same(client.read(near, BLOCK), image[near : near + BLOCK], near)
        relays.wan.cut()
        missing = client.begin("read", 6 * MIB, 10)
        partial = client.begin("write", 7 * MIB + 1, 1, b"!")  # needs the rest of its block
        assert client.is_held(missing, 0.5) and client.is_held(partial, 0)
        began = time.monotonic()
        client.write(4 * MIB, bytes(BLOCK), timeout=2)  # a missing block, but all of it
        client.zero(4 * MIB + BLOCK, 5 * BLOCK, timeout=2)
        client.trim(4 * MIB + 8 * BLOCK, BLOCK, timeout=2)
        client.flush(timeout=2)
        assert_same(client.read(near, BLOCK, timeout=2), image[near : near + BLOCK], near)
        assert time.monotonic() - began < 2  # whatever the patience: a dead link is noticed after 5
        wait_for(lambda: "link to node hosta" in (relays.b.volume("held-reads")["waitingFor"] or ""), NOTICED, "status")
        assert client.is_held(missing, 0)
        relays.wan.heal()
        client.finish(missing)
        client.finish(partial)
        assert_same(content(missing), image[6 * MIB : 6 * MIB + 10], 6 * MIB)
        image[4 * MIB : 4 * MIB + 6 * BLOCK] = bytes(6 * BLOCK)
        image[4 * MIB + 8 * BLOCK : 4 * MIB + 9 * BLOCK] = bytes(BLOCK)
        image[7 * MIB + 1 : 7 * MIB + 2] = b"!"
        set_rate(relays.b, None)
        await_complete(relays.b, "held-reads")
        assert_content(client, image)


# ---- what travels


def test_holes_travel_as_holes(relays):
    size, island = 256 * MIB, 256 << 10
    islands = [(n * 37 * MIB + n * BLOCK, random_bytes(island, n)) for n in range(6)]
    image = make_volume(relays.a, "sparse", size, islands)
    data = len(islands) * island
    traffic = Traffic(relays, "ab")
    take_over(relays.a, relays.b, "sparse")
    await_complete(relays.b, "sparse")
    print(f"{size} bytes with {data} of data: {traffic.bytes} on the WAN, {relays.b.volume('sparse')}")
    assert data < traffic.bytes < 1.05 * data + 64 * 1024
    assert fetched(relays.b, "sparse") == data
    assert relays.b.volume("sparse")["fetch"]["holes"] == size - data
    allocated = relays.a.volume("sparse")["allocated"]
    assert allocated >= data
    assert relays.b.volume("sparse")["allocated"] <= allocated + 16 * BLOCK
    assert_equal(relays.b, "sparse", image)


def test_r5_a_write_of_a_part_keeps_the_rest_of_a_block_that_is_not_here_yet(relays):
    size = 4 * MIB + 1000  # the last block is a part itself
    image = make_full_volume(relays.a, "parts", size)
    take_over(relays.a, relays.b, "parts", rate=FROZEN)
    places = [
        (1 * MIB + 17, 1),
        (1 * MIB + 8 * BLOCK, 511),
        (1 * MIB + 16 * BLOCK + 512, 513),
        (1 * MIB + 25 * BLOCK - 3, 7),  # straddles two blocks
        (1 * MIB + 32 * BLOCK + 1, 3 * BLOCK),  # two parts and two whole blocks
        (size - 1, 1),
    ]
    with NbdClient(relays.b, "parts") as client:
        for seed, (offset, length) in enumerate(places):
            data = random_bytes(length, 100 + seed)
            client.write(offset, data)
            image[offset : offset + length] = data
        assert relays.b.volume("parts")["fetch"]["demand"] == 7 * BLOCK + 1000  # the parts' blocks, and no other
        for offset, length in places:
            start = max(0, offset - BLOCK)
            end = min(size, offset + length + BLOCK)
            assert_same(client.read(start, end - start), image[start:end], start)
        set_rate(relays.b, None)
        await_complete(relays.b, "parts")
        assert_content(client, image)


def test_r7_what_is_zeroed_or_trimmed_first_never_travels(relays):
    size, zeroed, trimmed = 16 * MIB, (4 * MIB, 4 * MIB), (9 * MIB, 5 * MIB)
    image = make_full_volume(relays.a, "discarded", size)
    traffic = Traffic(relays, "ab")
    take_over(relays.a, relays.b, "discarded", rate=FROZEN)
    with NbdClient(relays.b, "discarded") as client:
        client.zero(*zeroed)
        client.trim(*trimmed)
        for offset, length in (zeroed, trimmed):
            image[offset : offset + length] = bytes(length)
            assert_same(client.read(offset, length), bytes(length), offset)
        set_rate(relays.b, None)
        await_complete(relays.b, "discarded")
        gone = zeroed[1] + trimmed[1]
        assert relays.b.volume("discarded")["fetch"]["overwritten"] == gone
        assert fetched(relays.b, "discarded") == size - gone
        assert traffic.bytes < 1.05 * (size - gone)
        assert_content(client, image)


def test_there_and_back_moves_only_what_changed(relays):
    size, changes = 24 * MIB, [(3 * MIB, 256 << 10), (11 * MIB + 5, 2 * BLOCK), (20 * MIB, 64 << 10)]
    image = make_full_volume(relays.a, "back", size)
    there = Traffic(relays, "ab")
    take_over(relays.a, relays.b, "back")
    await_complete(relays.b, "back")
    there = there.bytes
    wait_for(lambda: relays.a.volume("back")["completeAt"] == "hostb", 10, "hosta knows that hostb is complete")
    with NbdClient(relays.b, "back") as client:
        for offset, length in changes:
            data = random_bytes(length, offset)
            client.write(offset, data)
            image[offset : offset + length] = data
    wait_for(lambda: relays.b.volume("back")["clients"] == 0, 5, "nobody has it open")
    changed = (256 << 10) + 3 * BLOCK + (64 << 10)  # the second change straddles three blocks
    assert relays.b.volume("back")["replicas"] == [{"node": "hosta", "stale": changed}]
    back = Traffic(relays, "ba")
    take_over(relays.b, relays.a, "back")
    await_complete(relays.a, "back")
    print(f"{size} bytes there: {there} on the WAN; {changed} changed, back: {back.bytes}")
    assert there > size
    assert fetched(relays.a, "back") == changed
    assert changed < back.bytes < 1.05 * changed + 64 * 1024
    assert_equal(relays.a, "back", image)


def test_back_while_still_fetching_moves_only_what_changed(relays):
    size = 24 * MIB
    image = make_full_volume(relays.a, "early-back", size)
    take_over(relays.a, relays.b, "early-back", rate=FROZEN)
    with NbdClient(relays.b, "early-back") as client:
        data = random_bytes(MIB, 5)
        client.write(7 * MIB, data)
        image[7 * MIB : 8 * MIB] = data
    wait_for(lambda: relays.b.volume("early-back")["clients"] == 0, 5, "nobody has it open")
    take_over(relays.b, relays.a, "early-back")
    await_complete(relays.a, "early-back")
    assert fetched(relays.a, "early-back") == MIB
    assert_equal(relays.a, "early-back", image)


def test_what_a_standby_copied_before_the_takeover_does_not_move_again(relays):
    size = 16 * MIB
    image = make_volume(relays.a, "ahead", size, [(0, random_bytes(8 * MIB, 6)), (12 * MIB, random_bytes(MIB, 7))])
    set_rate(relays.b, None)
    domain = str(uuid.uuid4())
    standby = {"domain": domain, "volumes": ["ahead"], "owner": "hosta", "preCopy": "hot-last"}
    relays.b.relay.post("/v1/standbys", standby)
    wait_for(lambda: relays.b.volume("ahead")["present"] == size, COMPLETE_TIMEOUT, "the standby has copied")
    assert relays.b.volume("ahead")["state"] == "STANDBY"
    assert relays.a.volume("ahead")["replicas"] == [{"node": "hostb", "stale": 0}]
    with NbdClient(relays.a, "ahead") as owner, NbdClient(relays.b, "ahead") as reader:
        owner.write(3 * MIB + 5, b"written since")
        image[3 * MIB + 5 : 3 * MIB + 18] = b"written since"
        assert_same(reader.read(3 * MIB, BLOCK), image[3 * MIB : 3 * MIB + BLOCK], 3 * MIB)
    for node in relays.nodes:
        wait_for(lambda node=node: node.volume("ahead")["clients"] == 0, 5, "nobody has it open")
    relays.b.relay.post(f"/v1/takeovers/{domain}", None)
    await_complete(relays.b, "ahead")
    assert fetched(relays.b, "ahead") == BLOCK
    assert_equal(relays.b, "ahead", image)


# ---- sizes


def test_r1_a_disk_of_an_odd_size_moves_to_its_last_byte(relays):
    size = 5 * MIB + 777
    image = make_full_volume(relays.a, "odd", size)
    assert relays.a.volume("odd")["size"] == size
    take_over(relays.a, relays.b, "odd", rate=FROZEN)
    with NbdClient(relays.b, "odd") as client:
        assert client.size == size
        client.write(size - 5, b"12345")  # a part of the last block, which is not here yet
        image[-5:] = b"12345"
        client.zero(size - 700, 600)
        image[-700:-100] = bytes(600)
        assert_same(client.read(size - 6000, 6000), image[-6000:], size - 6000)
        set_rate(relays.b, None)
        await_complete(relays.b, "odd")
        assert_content(client, image)
    assert relays.b.volume("odd")["present"] == size


def test_a_sparse_tebibyte_moves_in_seconds_and_bounded_memory(relays):
    islands = [(n * (TIB // 8) + n * 3 * BLOCK, random_bytes(512 << 10, n)) for n in range(8)]
    islands.append((TIB - 1000, random_bytes(1000, 9)))
    began = time.monotonic()
    make_volume(relays.a, "huge", TIB, islands)
    made = time.monotonic()
    take_over(relays.a, relays.b, "huge", rate=FROZEN)
    taken_over = time.monotonic()
    relays.b.kill("relay")
    killed = time.monotonic()
    relays.b.start("relay")  # the cap is gone with the process
    started = time.monotonic()
    await_complete(relays.b, "huge")
    complete = time.monotonic()
    memory = {node.host.name: peak_memory(node.pid("relay")) for node in relays.nodes}
    print(
        f"1 TiB: made and filled {made - began:.1f} s, taken over {taken_over - made:.1f} s, restarted in fetch mode "
        f"{started - killed:.1f} s, then complete {complete - started:.1f} s; MiB of memory at most: "
        f"{ {host: peak // MIB for host, peak in memory.items()} }"
    )
    assert made - began < 10 and taken_over - made < 10 and complete - started < 20
    assert started - killed < START_LIMIT
    assert max(memory.values()) < MEMORY_LIMIT
    assert relays.b.volume("huge")["allocated"] < 8 * MIB
    with NbdClient(relays.b, "huge") as client:
        for offset, data in islands:
            assert_same(client.read(offset, len(data)), data, offset)
        assert_same(client.read(TIB // 2 - MIB, MIB), bytes(MIB), TIB // 2 - MIB)


def peak_memory(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no peak of memory for process {pid}")


# ---- who may write


def test_a_standby_reads_what_the_owner_has_now_and_stores_nothing(relays):
    image = make_full_volume(relays.a, "watched", MIB)
    with NbdClient(relays.a, "watched") as owner, NbdClient(relays.b, "watched") as standby:
        for round in range(3):
            place = 40 * BLOCK + 100
            assert_same(standby.read(0, MIB), image, 0)
            data = random_bytes(5000, round)
            owner.write(place, data)
            image[place : place + 5000] = data
            assert_same(standby.read(place, 5000), data, place)
    status = relays.b.volume("watched")
    assert (status["state"], status["present"], status["allocated"]) == ("STANDBY", 0, 0)


def test_a_write_waits_while_a_client_at_the_owner_may_still_write(relays):
    image = make_full_volume(relays.a, "open-end", MIB)
    holder = Holder(relays.a, "open-end")
    with NbdClient(relays.b, "open-end") as client:
        write = client.begin("write", 10, 3, b"new")
        await_reason(relays.b, "open-end", "is open at its owner (process ")
        assert "agent" in relays.b.volume("open-end")["waitingFor"]
        assert client.is_held(write, 1)
        assert relays.a.volume("open-end")["state"] == "SERVING"
        holder.end()
        client.finish(write, timeout=5)
        image[10:13] = b"new"
        await_complete(relays.b, "open-end")
        assert_content(client, image)
    assert relays.b.volume("open-end")["waitingFor"] is None


def test_a_lost_socket_of_a_living_process_proves_nothing_and_its_death_does(relays):
    make_full_volume(relays.a, "lost-socket", MIB)
    holder = Holder(relays.a, "lost-socket")
    holder.drop()
    with NbdClient(relays.b, "lost-socket") as client:
        write = client.begin("write", 0, 3, b"new")
        await_reason(relays.b, "lost-socket", "(connection lost)")
        assert client.is_held(write, 1)
        holder.kill()
        client.finish(write, timeout=5)


def test_a_client_that_died_with_its_socket_does_not_block(relays):
    make_full_volume(relays.a, "died", MIB)
    holder = Holder(relays.a, "died")
    with NbdClient(relays.b, "died") as client:
        write = client.begin("write", 0, 3, b"new")
        await_reason(relays.b, "died", "is open at its owner")
        holder.kill()
        client.finish(write, timeout=5)


def test_a_restarted_owner_still_knows_who_has_the_volume_open(relays):
    make_full_volume(relays.a, "remembered", MIB)
    holder = Holder(relays.a, "remembered")
    relays.a.kill("relay")
    relays.a.start("relay")
    await_link(relays.b)
    with NbdClient(relays.b, "remembered") as client:
        write = client.begin("write", 0, 3, b"new")
        await_reason(relays.b, "remembered", "(connection lost)")
        assert client.is_held(write, 1)
        holder.kill()
        client.finish(write, timeout=5)


def await_reason(node, name, part):
    wait_for(lambda: part in (node.volume(name)["waitingFor"] or ""), 5, f"{name} waits for '{part}'")


# ---- the link


@pytest.mark.parametrize("direction", ["ab", "ba"])
def test_a_half_open_link_is_noticed_in_seconds(relays, direction):
    relays.wan.cut(direction)
    for node in relays.nodes:
        wait_for(lambda node=node: not link_up(node), NOTICED, f"{node.host.name} notices", 0.1)
    [peer] = relays.b.relay.get("/v1/status")["peers"]
    assert peer["problem"]
    relays.wan.heal()
    for node in relays.nodes:
        await_link(node)
