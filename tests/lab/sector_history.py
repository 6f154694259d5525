# SPDX-License-Identifier: Apache-2.0
"""What each sector of a volume may hold after a power loss, told from the requests and their answers.

A sector holds a number, that of the write it is from: 0 before the first. After a power loss it may hold what the last
answered FLUSH (or its own FUA) made durable, or anything written since; nothing older, nothing of another sector,
nothing in between.
"""

import struct
from dataclasses import dataclass

SECTOR = 512
ZEROES = -1  # the number of a sector that was zeroed

_FORM = struct.Struct("<4sxxxxQQ")  # magic, sector, number
_MAGIC = b"FRYH"


class WrongSector(AssertionError):
    """A sector holds what it can't."""


@dataclass(eq=False)
class Write:
    """One write under way; FIRST and COUNT are sectors."""

    holds: int  # the number that its sectors hold then
    first: int
    count: int
    fua: bool
    answered: int | None = None  # position among all answers

    def __post_init__(self):
        self.sectors = range(self.first, self.first + self.count)


def content(sector, number):
    """The 512 bytes of a sector with a number. Each word of it tells, so a torn sector is none."""
    if number == ZEROES:
        return bytes(SECTOR)
    head = _FORM.pack(_MAGIC, sector, number)
    return (head * (SECTOR // len(head) + 1))[:SECTOR]


def image(first, count, number=0):
    return b"".join(content(sector, number) for sector in range(first, first + count))


def number_of(sector, data):
    """The number that 512 bytes hold; raises WrongSector if they were never written to this sector."""
    if not any(data):
        return ZEROES
    magic, found, number = _FORM.unpack_from(data)
    if magic != _MAGIC or found != sector or data != content(sector, number):
        raise WrongSector(f"sector {sector} holds {data[:24].hex()}…, which was never written there")
    return number


class SectorHistory:
    """Requests must not overlap while they are under way."""

    def __init__(self, sectors):
        self.sectors = sectors
        self._last = 0  # number of the last write
        self._answers = 0
        self._durable = {}  # sector -> number, 0 if absent
        self._since = {}  # sector -> [Write], oldest first: written since it was last made durable

    # ---- requests and answers

    def write(self, first, count, fua=False, zeroes=False):
        """A write is about to be sent; returns it. `data` is what to send."""
        self._last += 1
        write = Write(ZEROES if zeroes else self._last, first, count, fua)
        for sector in write.sectors:
            self._since.setdefault(sector, []).append(write)
        return write

    def data(self, write):
        return image(write.first, write.count, write.holds)

    def written(self, write):
        """The write was answered."""
        self._answers += 1
        write.answered = self._answers
        if write.fua:
            for sector in write.sectors:
                self._make_durable(sector, self._answers)

    def flush(self):
        """A FLUSH is about to be sent: it covers what is answered by now."""
        return self._answers

    def flushed(self, covered):
        """The FLUSH was answered."""
        for sector in list(self._since):
            self._make_durable(sector, covered)

    def _make_durable(self, sector, covered):
        writes = self._since[sector]
        known = [n for n, write in enumerate(writes) if write.answered is not None and write.answered <= covered]
        if known:
            self._durable[sector] = writes[known[-1]].holds
            del writes[: known[-1] + 1]
            if not writes:
                del self._since[sector]

    # ---- what may be read

    def now(self, sector):
        """What the sector holds, if nothing was lost and no write to it is under way."""
        return self._since[sector][-1].holds if sector in self._since else self._durable.get(sector, 0)

    def check_now(self, first, data):
        """Compares a read with what the sectors hold."""
        self._check(first, data, lambda sector: {self.now(sector)})

    def check_after_kill(self, first, data):
        """After a kill without power loss: what was answered is there, what was under way may be."""
        self._check(first, data, self._after_kill)

    def check_after_power_loss(self, first, data):
        self._check(first, data, self._after_power_loss)

    def _after_power_loss(self, sector):
        return {self._durable.get(sector, 0)} | {write.holds for write in self._since.get(sector, ())}

    def _after_kill(self, sector):
        writes = self._since.get(sector, [])
        answered = [n for n, write in enumerate(writes) if write.answered is not None]
        if not answered:
            return self._after_power_loss(sector)
        return {write.holds for write in writes[answered[-1] :]}

    def _check(self, first, data, allowed):
        for n in range(len(data) // SECTOR):
            sector = first + n
            found = number_of(sector, data[n * SECTOR : (n + 1) * SECTOR])
            if found not in allowed(sector):
                raise WrongSector(
                    f"sector {sector} holds write {found}, allowed are {sorted(allowed(sector))}; durable was "
                    f"{self._durable.get(sector, 0)}"
                )

    def settle(self, first, data):
        """Takes what is read after a loss, checked before, as what the sectors hold from now on, durably: what was
        lost stays lost."""
        for n in range(len(data) // SECTOR):
            sector = first + n
            self._durable[sector] = number_of(sector, data[n * SECTOR : (n + 1) * SECTOR])
            self._since.pop(sector, None)
