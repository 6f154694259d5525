# SPDX-License-Identifier: Apache-2.0
"""What tests/wan-bench writes: timeouts are called so, ratios are right, and the figure shows what was measured."""

import xml.etree.ElementTree as ElementTree

import pytest

from lab import wan_bench
from lab.report import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Curve, Panel, height_at, markdown, svg, ticks
from lab.wan_bench import Case, Io, Result

SVG = "{http://www.w3.org/2000/svg}"
CASE = Case(100, 20, "200")


def result(**changed):
    values = {
        "system": "some system", "bound": 60, "runs": 3.14, "downtime": 0.1234, "source_can_go": 12.3,
        "wire_bytes": 100 << 20, "before": Io(200.0, 2.0), "during": Io(150.0, 30.0), "present": [(0, 0), (12.3, 1.0)],
    }  # fmt: skip
    return Result(**{**values, **changed})


def test_a_move_shows_its_figures_and_what_they_are_to_those_before():
    assert result().row() == [
        "some system", "3.1 s", "123 ms", "12.3 s", "100 MiB", "200 → 150 (0.75 ×)", "2.0 ms → 30.0 ms (15.00 ×)",
    ]  # fmt: skip


def test_what_did_not_end_in_time_is_called_a_timeout():
    never = result(runs=None, downtime=None, source_can_go=None).row()
    assert never[1:4] == ["timeout: > 60 s", "", "timeout: > 60 s"]
    slow = result(source_can_go=None).row()
    assert slow[1:4] == ["3.1 s", "123 ms", "timeout: > 60 s"]


def test_an_idle_guest_has_no_figures():
    row = result(before=Io(0.0, 0.0), during=Io(0.0, 0.0)).row()
    assert row[5:] == ["", ""]


def test_a_failure_is_no_result():
    row = result(error="mismatch").row()
    assert row[1] == "failed: mismatch" and row[2:] == [""] * 5 and len(row) == len(wan_bench.HEAD)


def test_the_report_has_a_table_per_case_and_a_line_per_system():
    bench = wan_bench.Bench(wan_bench.parse(["--load", "idle", "--load", "full"]))
    bench.load = [1.0, 2.5]
    for results in bench.results.values():
        results += [result(), result(system="other", source_can_go=None)]
    text = bench.report()
    assert text.count("\n## ") == 2 and "guest at full speed" in text and "idle guest" in text
    assert text.count("| other ") == 2 and text.count("timeout: > 60 s") == 2
    assert not bench.failed
    bench.results[bench.cases[0]].append(result(error="broken"))
    assert len(bench.failed) == 1


def test_options_choose_a_small_matrix_unless_told_otherwise():
    assert len(wan_bench.Bench(wan_bench.parse([])).cases) == 2
    assert len(wan_bench.Bench(wan_bench.parse(["--whole"])).cases) == 12
    chosen = wan_bench.Bench(wan_bench.parse(["--whole", "--rtt", "50", "--load", "10"])).cases
    assert [str(case) for case in chosen] == [
        f"{rate} Mbit/s, 50 ms round trip, guest with 10 I/O per second" for rate in (100, 400)
    ]
    with pytest.raises(SystemExit):
        wan_bench.parse(["--load", "much"])


def test_columns_of_a_table_are_aligned():
    lines = markdown([["a", "bbb"], ["cccc", "d"]])
    assert lines == ["| a    | bbb |", "|------|-----|", "| cccc | d   |"]


# ---- the figure


def drawn(*panels):
    return ElementTree.fromstring(svg(list(panels)))


def places(polyline):
    return [tuple(map(float, place.split(","))) for place in polyline.get("points").split()]


def test_each_system_is_one_line_from_corner_to_corner():
    figure = drawn(wan_bench.panel(CASE, [result(), result(system="b", present=[(0, 0.25), (24.6, 0.5)])]))
    first, second = map(places, figure.iter(f"{SVG}polyline"))
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    assert first == [(LEFT, bottom), (pytest.approx((LEFT + right) / 2, abs=0.1), TOP)]
    assert second[1] == (right, pytest.approx((TOP + bottom) / 2, abs=0.1))
    assert second[0][1] == pytest.approx(bottom - (bottom - TOP) / 4, abs=0.1)


def test_a_dot_shows_where_the_vm_runs_and_a_timeout_has_none():
    figure = drawn(wan_bench.panel(CASE, [result(runs=12.3 / 2), result(runs=None)]))
    [dot] = figure.iter(f"{SVG}circle")
    assert float(dot.get("cx")) == pytest.approx((LEFT + WIDTH - RIGHT) / 2, abs=0.1)
    assert float(dot.get("cy")) == pytest.approx((TOP + HEIGHT - BOTTOM) / 2, abs=0.1)


def test_names_may_hold_anything_and_panels_lie_below_each_other():
    panel = Panel("a < b & c", "x", "y", 1, [Curve("<n>", [(0, 0), (1, 9)])])
    figure = drawn(panel, panel)
    texts = [text.text for text in figure.iter(f"{SVG}text")]
    assert texts.count("a < b & c") == 2 and texts.count("<n>") == 2
    assert [group.get("transform") for group in figure.iter(f"{SVG}g")] == ["translate(0 0)", f"translate(0 {HEIGHT})"]
    for line in figure.iter(f"{SVG}polyline"):
        assert all(y >= TOP for _, y in places(line)), "what is above the axis is drawn at its end"


def test_a_figure_of_nothing_is_still_one():
    figure = drawn(wan_bench.panel(CASE, [result(present=[]), result(error="broken")]))
    assert not list(figure.iter(f"{SVG}polyline")) and not list(figure.iter(f"{SVG}circle"))


@pytest.mark.parametrize("maximum", [0.01, 0.7, 1, 3, 12.3, 60, 100, 999])
def test_ticks_are_few_and_round(maximum):
    marks = ticks(maximum)
    assert marks[0] == 0 and 2 <= len(marks) <= 8 and marks[-1] <= maximum * (1 + 1e-6)


def test_a_curve_is_straight_between_its_points():
    points = [(1, 10), (2, 20), (2, 30), (4, 30)]
    assert [height_at(points, x) for x in (0, 1, 1.5, 2, 3, 9)] == [10, 10, 15, 20, 30, 30]
