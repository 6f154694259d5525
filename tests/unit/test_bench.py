# SPDX-License-Identifier: Apache-2.0
"""The verdicts of tests/bench: what is missed is called so, and paired with what it is compared with."""

from itertools import pairwise

import pytest

from lab import bench
from lab.bench import FETCHING, NBDKIT, NO_STALE_MAP, QEMU, REFERENCE, SAME_RELAY, STALE_MAP, Bench, Result

READ = next(row for row in bench.ROWS if row.bar and not row.writes)
WRITE = next(row for row in bench.ROWS if row.bar and row.writes)


def verdict(row, **rates):
    """Of one round with these rates, by the constants' names."""
    measured = Bench(options=bench.parse([]))
    measured.results[row] = {getattr(bench, name): [Result(rate, 0, 0)] for name, rate in rates.items()}
    return measured._verdict(row)


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    measured = Bench(options=bench.parse([]))
    rounds = {REFERENCE: [10, 30, 100], NBDKIT: [10, 10, 100]}
    measured.results[READ] = {name: [Result(rate, 0, 0) for rate in rates] for name, rates in rounds.items()}
    assert measured.ratio(READ, REFERENCE, NBDKIT) == 1
    assert measured.ratio(READ, REFERENCE, QEMU) is None


def test_nobody_always_follows_the_same_one():
    followed = {name: set() for name in "abcd"}
    for number in range(6):
        turns = bench.order(list("abcd"), number)
        assert sorted(turns) == list("abcd")
        for before, after in pairwise(turns):
            followed[after].add(before)
    assert all(len(names) > 1 for names in followed.values()), followed


@pytest.mark.parametrize("row", [READ, WRITE])
def test_a_row_is_met_at_its_bar_and_missed_below(row):
    assert verdict(row, REFERENCE=100 * row.bar, NBDKIT=100, QEMU=99) == "met"
    assert verdict(row, REFERENCE=100 * row.bar - 1, NBDKIT=100) == f"MISSED: {row.bar} × {NBDKIT}"
    assert verdict(row, REFERENCE=100, QEMU=100) == f"MISSED: ahead of {QEMU}"


def test_fetching_is_compared_in_its_own_relay():
    assert verdict(READ, REFERENCE=200, FETCHING=95, SAME_RELAY=100) == "met"
    assert verdict(READ, REFERENCE=50, FETCHING=94, SAME_RELAY=100) == f"MISSED: 0.95 in {FETCHING} × {SAME_RELAY}"


def test_a_stale_map_is_a_matter_of_writes():
    assert verdict(WRITE, STALE_MAP=98, NO_STALE_MAP=100) == f"MISSED: 0.99 in {STALE_MAP} × {NO_STALE_MAP}"
    assert verdict(READ, STALE_MAP=98, NO_STALE_MAP=100) == "met"
