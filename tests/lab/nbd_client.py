# SPDX-License-Identifier: Apache-2.0
"""NBD clients of the tests: single requests with a time limit, and a random load that knows what it must read.

They talk to a node's socket from outside the host, so a relay can't tell their process. Where that matters, a test
runs `nbd_holder.py` inside the host.
"""

import errno
import random
import time
from dataclasses import dataclass

import nbd

from .vm import NBD_SOCKET
from .waiting import patient

MIB = 1 << 20
BLOCK = 4096

ANSWER_TIMEOUT = 30  # seconds; a busy machine, a slow link, a relay that restarts
COMPARED_PIECE = MIB  # bytes per read when a whole export is compared


class Disconnected(Exception):
    """The server has gone; what was in flight has an unknown outcome."""


@dataclass(eq=False)
class Command:
    """One request; may be submitted again on another connection."""

    kind: str  # read, write, zero, trim, flush
    offset: int = 0
    length: int = 0
    data: bytes = None
    flags: int = 0
    buffer: nbd.Buffer = None
    cookie: int = None
    after_trim: bool = False  # a read that decides what a trim has left

    @property
    def end(self):
        return self.offset + self.length


class NbdClient:
    """One connection to an export of a node."""

    def __init__(self, node, volume):
        self._nbd = nbd.NBD()
        self._nbd.connect_uri(export_uri(node, volume))
        self.size = self._nbd.get_size()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Says DISC, as QEMU does when it ends in an orderly way."""
        try:
            self._nbd.shutdown()
        except nbd.Error:
            pass  # the relay was quicker

    # ---- with the result

    def read(self, offset, length, timeout=ANSWER_TIMEOUT):
        command = self.begin("read", offset, length)
        self.finish(command, timeout)
        return content(command)

    def write(self, offset, data, timeout=ANSWER_TIMEOUT, flags=0):
        self.finish(self.begin("write", offset, len(data), data, flags), timeout)

    def zero(self, offset, length, timeout=ANSWER_TIMEOUT, flags=0):
        self.finish(self.begin("zero", offset, length, flags=flags), timeout)

    def trim(self, offset, length, timeout=ANSWER_TIMEOUT):
        self.finish(self.begin("trim", offset, length), timeout)

    def flush(self, timeout=ANSWER_TIMEOUT):
        self.finish(self.begin("flush"), timeout)

    # ---- in flight

    def begin(self, kind, offset=0, length=0, data=None, flags=0):
        command = Command(kind, offset, length, data, flags)
        self.submit(command)
        return command

    def submit(self, command):
        try:
            command.cookie = self._submit(command)
        except nbd.Error as problem:
            raise self._gone_or(problem) from problem

    def _submit(self, command):
        match command.kind:
            case "read":
                command.buffer = nbd.Buffer(command.length)
                return self._nbd.aio_pread(command.buffer, command.offset)
            case "write":
                command.buffer = nbd.Buffer.from_bytearray(bytearray(command.data))
                return self._nbd.aio_pwrite(command.buffer, command.offset, flags=command.flags)
            case "zero":
                return self._nbd.aio_zero(command.length, command.offset, flags=command.flags)
            case "trim":
                return self._nbd.aio_trim(command.length, command.offset, flags=command.flags)
            case "flush":
                return self._nbd.aio_flush()
        raise ValueError(f"unknown kind of request {command.kind}")

    def poll(self, seconds):
        """Moves data for at most this long."""
        try:
            self._nbd.poll(max(1, round(seconds * 1000)))
        except nbd.Error as problem:
            raise self._gone_or(problem) from problem

    def finished(self, command):
        """Whether the answer is here; raises nbd.Error if the server failed the request."""
        try:
            return self._nbd.aio_command_completed(command.cookie)
        except nbd.Error as problem:
            raise self._gone_or(problem) from problem

    def finish(self, command, timeout=ANSWER_TIMEOUT):
        timeout = patient(timeout)
        deadline = time.monotonic() + timeout
        while not self.finished(command):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{command.kind} of {command.length} at {command.offset}: no answer in {timeout} s")
            self.poll(min(left, 0.1))

    def is_held(self, command, seconds):
        """Whether a request stays unanswered for this long."""
        deadline = time.monotonic() + seconds
        while not self.finished(command):
            if time.monotonic() > deadline:
                return True
            self.poll(0.02)
        return False

    def _gone_or(self, problem):
        gone = self._nbd.aio_is_dead() or self._nbd.aio_is_closed() or problem.errnum == errno.ENOTCONN
        return Disconnected(str(problem)) if gone else problem


def content(command):
    """What a finished read has read."""
    return bytes(command.buffer.to_bytearray())


def export_uri(node, volume):
    return f"nbd+unix:///{volume}?socket={node.host.root / NBD_SOCKET.lstrip('/')}"


def assert_content(client, reference):
    """The whole export equals the reference, to the last byte."""
    assert client.size == len(reference)
    for offset in range(0, len(reference), COMPARED_PIECE):
        expected = reference[offset : offset + COMPARED_PIECE]
        assert_same(client.read(offset, len(expected)), expected, offset)


def assert_same(found, expected, offset):
    """Compares without printing megabytes."""
    if found != expected:
        wrong = next(n for n, (f, e) in enumerate(zip(found, expected)) if f != e)
        count = sum(f != e for f, e in zip(found, expected))
        raise AssertionError(
            f"byte {offset + wrong} (block {(offset + wrong) // BLOCK}) is {found[wrong]:#04x}, not "
            f"{expected[wrong]:#04x}; {count} of {len(expected)} bytes from {offset} are wrong"
        )


class RandomLoad:
    """Requests of all kinds and sizes, drawn from a seed, several in flight on ranges that don't overlap.

    Each read is compared with REFERENCE, which takes what was written when the write is answered. A lost connection is
    made again and what had no answer is asked again, as QEMU does with a reconnect delay.
    """

    KINDS = {"read": 50, "write": 34, "zero": 6, "trim": 6, "flush": 4}
    SIZES = [(512, 30), (BLOCK, 40), (16 * BLOCK, 28), (3 * MIB, 2)]  # up to how many bytes, and how often

    def __init__(self, node, volume, reference, seed, depth=8, per_second=150):
        self._node, self._volume = node, volume
        self._reference = reference
        self._random = random.Random(seed)
        self._depth = depth
        self._pause = 1 / per_second
        self._client = None
        self._in_flight = []
        self.done = dict.fromkeys(self.KINDS, 0)
        self.reconnects = -1  # the first connection is none

    def run(self, until, timeout, at=()):
        """Runs until UNTIL() is true and all of AT, pairs of seconds and what to call then, has happened."""
        timeout = patient(timeout)
        start = time.monotonic()
        waiting = sorted(at, key=lambda event: event[0])
        next_request = next_look = start
        while True:
            now = time.monotonic()
            if waiting and now - start >= waiting[0][0]:
                waiting.pop(0)[1]()
                continue
            if now >= next_look:
                if not waiting and until():
                    break
                next_look = now + 0.1
            if now - start > timeout:
                raise TimeoutError(f"the load ran {timeout} s in vain; in flight: {self._in_flight}")
            if now >= next_request and len(self._in_flight) < self._depth:
                self._in_flight.append(self._draw())
                self._guarded(lambda: self._client.submit(self._in_flight[-1]))
                next_request = max(next_request + self._pause, now - 10 * self._pause)
            self._guarded(self._collect)
        self._drain()

    def _drain(self):
        deadline = time.monotonic() + patient(ANSWER_TIMEOUT)
        while self._in_flight:
            if time.monotonic() > deadline:
                raise TimeoutError(f"requests without answer: {self._in_flight}")
            self._guarded(self._collect)
        self._client.close()

    def _guarded(self, action):
        """Runs it on a living connection; after a loss everything without answer is asked again."""
        try:
            if self._client is None:
                self._client = NbdClient(self._node, self._volume)
                self.reconnects += 1
                for command in self._in_flight:
                    self._client.submit(command)
                if self._in_flight:
                    return
            action()
        except Disconnected:
            self._client = None
        except (nbd.Error, OSError) as problem:
            if self._client is not None:
                raise  # the server answered with an error
            if not isinstance(problem, OSError) and problem.errnum not in (errno.ECONNREFUSED, errno.ENOENT):
                raise
            time.sleep(0.02)  # between two attempts to connect

    def _collect(self):
        self._client.poll(0.005)
        for command in list(self._in_flight):
            if self._client.finished(command):
                self._in_flight.remove(command)
                self.done[command.kind] += 1
                self._apply(command)

    def _apply(self, command):
        reference, (start, end) = self._reference, (command.offset, command.end)
        if command.kind == "write":
            reference[start:end] = command.data
        elif command.kind == "zero":
            reference[start:end] = bytes(command.length)
        elif command.kind == "trim":
            # Each block is now zero or as it was: the next read of it decides, for ever.
            look = Command("read", start, command.length, after_trim=True)
            self._in_flight.append(look)
            self._client.submit(look)
        elif command.kind == "read":
            found = content(command)
            if command.after_trim:
                self._adopt(start, found)
            assert_same(found, reference[start:end], start)

    def _adopt(self, start, found):
        end = start + len(found)
        for block in range(start // BLOCK, (end - 1) // BLOCK + 1):
            low, high = max(start, block * BLOCK), min(end, (block + 1) * BLOCK)
            if not any(found[low - start : high - start]):
                self._reference[low:high] = bytes(high - low)

    def _draw(self):
        draw = self._random
        while True:
            kind = draw.choices(list(self.KINDS), self.KINDS.values())[0]
            if kind == "flush":
                return Command("flush")
            limit = draw.choices([size for size, _ in self.SIZES], [often for _, often in self.SIZES])[0]
            length = min(draw.randint(1, limit), len(self._reference))
            offset = draw.randint(0, len(self._reference) - length)
            if draw.random() < 0.5:  # half of all requests are whole blocks, as most guests' are
                offset -= offset % BLOCK
                length = min(-(-length // BLOCK) * BLOCK, len(self._reference) - offset)
            if any(offset < other.end and other.offset < offset + length for other in self._in_flight):
                continue
            flags = nbd.CMD_FLAG_FUA if kind != "read" and draw.random() < 0.1 else 0
            if kind == "zero" and draw.random() < 0.5:
                flags |= nbd.CMD_FLAG_NO_HOLE
            data = draw.randbytes(length) if kind == "write" else None
            return Command(kind, offset, length, data, flags)
