# SPDX-License-Identifier: Apache-2.0
"""A random load on one NBD connection that ends wherever it is: for tests that take the server away under it."""

import time

import nbd

from .nbd_client import Disconnected, content
from .sector_history import SECTOR
from .waiting import patient

KINDS = {"write": 46, "read": 36, "zero": 6, "flush": 12}
SECTORS = [(1, 25), (8, 45), (64, 28), (256, 2)]  # up to how many, and how often
DEPTH = 8


class StampedLoad:
    """Requests drawn from DICE, several under way on ranges that don't overlap. HISTORY learns of each of them, and
    each read is compared with it. `answers` counts by kind."""

    def __init__(self, client, history, dice, flushes=True):
        self._client = client
        self._history = history
        self._dice = dice
        self._kinds = {kind: often for kind, often in KINDS.items() if flushes or kind != "flush"}
        self._under_way = []  # (command, what the history knows it by, first sector, count)
        self.answers = dict.fromkeys(KINDS, 0)
        self.seen = set()  # sectors that were written or read

    def run(self, seconds):
        """Leaves what is under way as it is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if len(self._under_way) < DEPTH:
                self._send()
            self._client.poll(0.002)
            self._collect()

    def drain(self, timeout):
        """Waits for all answers."""
        timeout = patient(timeout)
        deadline = time.monotonic() + timeout
        while self._under_way:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self._under_way)} requests without answer in {timeout} s")
            self._client.poll(0.01)
            self._collect()

    def close(self):
        """Says DISC; nothing may be under way."""
        self._client.close()

    def take_last_answers(self):
        """The server is gone: what it answered before may still be in the socket."""
        try:
            while self._under_way:
                self._client.poll(0.01)
                self._collect()
        except (Disconnected, nbd.Error):
            pass  # an error is no acknowledgement: the disk went first

    def _send(self):
        kind = self._dice.choices(list(self._kinds), self._kinds.values())[0]
        if kind == "flush":
            covered = self._history.flush()
            self._under_way.append((self._client.begin("flush"), covered, 0, 0))
            return
        limit = self._dice.choices([most for most, _ in SECTORS], [often for _, often in SECTORS])[0]
        count = self._dice.randint(1, limit)
        first = self._dice.randrange(self._history.sectors - count + 1)
        if any(first < other + many and other < first + count for _, _, other, many in self._under_way):
            return
        self.seen.update(range(first, first + count))
        if kind == "read":
            command = self._client.begin("read", first * SECTOR, count * SECTOR)
            self._under_way.append((command, None, first, count))
            return
        fua = self._dice.random() < 0.15
        flags = nbd.CMD_FLAG_FUA if fua else 0
        write = self._history.write(first, count, fua, zeroes=kind == "zero")
        data = self._history.data(write) if kind == "write" else None
        self._under_way.append((self._client.begin(kind, first * SECTOR, count * SECTOR, data, flags), write, first, count))

    def _collect(self):
        for entry in list(self._under_way):
            command, known, first, _ = entry
            if not self._client.finished(command):
                continue
            self._under_way.remove(entry)
            self.answers[command.kind] += 1
            if command.kind == "flush":
                self._history.flushed(known)
            elif command.kind == "read":
                self._history.check_now(first, content(command))
            else:
                self._history.written(known)
