# SPDX-License-Identifier: Apache-2.0
"""The figures of tests/wan-bars: what is missed is called so."""

import pytest

from lab.wan_bars import Figure, parse, percentile, report


def test_a_missed_bar_is_called_missed():
    figures = [Figure("a", "1", "2", False), Figure("b", "1", "0", True), Figure("c", "", "7")]
    lines = report(figures, [0.5, 3.25]).splitlines()
    assert "load 0.5 to 3.2" in lines[2]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[6:9]]
    assert cells == [["a", "1", "2", "MISSED"], ["b", "1", "0", "met"], ["c", "", "7", ""]]


@pytest.mark.parametrize("share, expected", [(0.01, 1), (0.5, 50), (0.99, 99), (1, 100)])
def test_a_percentile_is_one_of_the_values(share, expected):
    assert percentile(range(100, 0, -1), share) == expected
    assert percentile([7], share) == 7


def test_all_is_measured_unless_chosen():
    assert parse([]).only == ["bulk", "loss", "misses", "lossy-misses", "sizes"]
    assert parse(["--only", "loss"]).only == ["loss"]
