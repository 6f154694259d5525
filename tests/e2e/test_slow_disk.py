# SPDX-License-Identifier: Apache-2.0
"""A disk that takes its time delays only the requests that need it: the relay's one loop never waits for it."""

import threading
import time
from dataclasses import dataclass

import nbd
import pytest

from lab.local_relay import Authority, LocalRelay
from lab.slow_disk import SlowDisk

MIB = 1 << 20
BLOCK = 4096
LARGE = 256 << 10  # bytes; such a read is sent from the file if it is in the page cache

PORT = 7829  # of this relay, to which no peer ever connects

DISK = 256 * MIB
VOLUME = 24 * MIB
QUICK = 8 * MIB  # the first part of the volume stays in the page cache

READ_MS = 150  # of each read that reaches the disk
WRITE_MS = 100  # of each write; a flush is at least one

AT_ONCE = 16  # slow requests in flight, as QEMU has

# What a quick request may take while slow ones are under way: a third of what one stall would cost. It includes what a
# busy machine adds, so it is asked of 99 of 100.
QUICK_LIMIT = READ_MS / 1000 / 3
MOST_QUICK = 0.99
LEAST = 100  # requests; a reader that waits each time makes about one per READ_MS


@pytest.fixture(scope="module")
def running_relay(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slow")
    with SlowDisk(folder, DISK, READ_MS, WRITE_MS) as disk:
        authority = Authority(folder / "authority")
        with LocalRelay("slow", folder / "relay", authority, PORT, state=disk.mounted / "state") as running:
            running.disk = disk
            yield running


@pytest.fixture
def relay(running_relay):
    """With an empty volume."""
    running_relay.create_volume("disk", VOLUME)
    yield running_relay
    running_relay.delete_volume("disk")


def slow_offset(number):
    """Far from each other and from the quick part: nothing is read ahead for another."""
    return QUICK + (2 * number + 1) * (VOLUME - QUICK) // (2 * AT_ONCE) // BLOCK * BLOCK


def connect(relay):
    client = nbd.NBD()
    client.connect_uri(relay.uri("disk"))
    return client


def fill(relay):
    client = connect(relay)
    for offset in range(0, VOLUME, MIB):
        client.pwrite(bytes([offset // MIB + 1]) * MIB, offset)
    client.flush()
    client.shutdown()


@dataclass(repr=False)
class Latencies:
    """Of requests made one after another while something else went on, which was slow."""

    seconds: list

    def are_quick(self):
        quick = sum(each <= QUICK_LIMIT for each in self.seconds)
        return len(self.seconds) >= LEAST and quick / len(self.seconds) >= MOST_QUICK

    def __repr__(self):
        longest = ", ".join(f"{1000 * each:.0f}" for each in sorted(self.seconds)[-10:])
        return f"{len(self.seconds)} requests, the longest took {longest} ms"


def reads_while(relay, slow):
    """Reads cached blocks with a client of its own as long as SLOW runs; returns their latencies."""
    client = connect(relay)
    client.pread(BLOCK, 0)
    over = threading.Event()
    seconds = []

    def read():
        number = 0
        while not over.is_set():
            offset = number * BLOCK % QUICK
            began = time.monotonic()
            data = client.pread(BLOCK, offset)
            seconds.append(time.monotonic() - began)
            assert data[0] == offset // MIB + 1
            number += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        slow()
    finally:
        over.set()
        reader.join()
        client.shutdown()
    return Latencies(seconds)


def all_at_once(relay, begin):
    """Has requests in flight together, as BEGIN submits them; returns how long the quickest of them took, in seconds."""
    client = connect(relay)
    began = time.monotonic()
    first = []
    left = {begin(client, number) for number in range(AT_ONCE)}
    while left:
        client.poll(-1)
        done = {cookie for cookie in left if client.aio_command_completed(cookie)}
        if done and not first:
            first.append(time.monotonic() - began)
        left -= done
    client.shutdown()
    return first[0]


@pytest.mark.parametrize("length", [BLOCK, LARGE])
def test_reads_that_miss_do_not_delay_reads_that_hit(relay, length):
    fill(relay)
    relay.disk.forget(relay.data_file("disk"), QUICK, VOLUME - QUICK)
    quickest = []

    def miss():
        buffers = [nbd.Buffer(length) for _ in range(AT_ONCE)]
        quickest.append(all_at_once(relay, lambda client, number: client.aio_pread(buffers[number], slow_offset(number))))
        for number, buffer in enumerate(buffers):
            assert buffer.to_bytearray()[0] == slow_offset(number) // MIB + 1

    latencies = reads_while(relay, miss)

    assert quickest[0] >= READ_MS / 1000, "the reads were to miss the page cache, and didn't"
    assert latencies.are_quick(), latencies


def test_partial_writes_into_missing_pages_do_not_delay_reads_that_hit(relay):
    fill(relay)
    relay.disk.forget(relay.data_file("disk"), QUICK, VOLUME - QUICK)
    quickest = []

    def write():
        data = bytearray(b"\xee" * 512)
        quickest.append(all_at_once(relay, lambda client, number: client.aio_pwrite(data, slow_offset(number) + 512)))

    latencies = reads_while(relay, write)

    assert quickest[0] >= READ_MS / 1000, "the writes were to read their pages first, and didn't"
    assert latencies.are_quick(), latencies


def test_writes_and_flushes_do_not_delay_reads_that_hit(relay):
    fill(relay)

    def write():
        client = connect(relay)
        for number in range(4):
            for block in range(64):
                client.pwrite(b"\xcc" * BLOCK, QUICK + (number * 64 + block) * BLOCK)
            began = time.monotonic()
            client.flush()
            assert time.monotonic() - began >= WRITE_MS / 1000, "the flush was to reach the disk, and didn't"
        client.shutdown()

    latencies = reads_while(relay, write)

    assert latencies.are_quick(), latencies
