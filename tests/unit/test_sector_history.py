# SPDX-License-Identifier: Apache-2.0
"""The checker of the power loss tests sees what it is for: each kind of loss that must not be, and none that may."""

import pytest

from lab.sector_history import SECTOR, SectorHistory, WrongSector, content, image


def history_with(*steps):
    """W: write answered, w: not answered, F: FUA write answered, f: flush answered, z: zeroes answered; all of the
    same sectors 4 and 5."""
    history = SectorHistory(64)
    for step in steps:
        if step == "f":
            history.flushed(history.flush())
        else:
            write = history.write(4, 2, fua=step == "F", zeroes=step == "z")
            if step != "w":
                history.written(write)
    return history


@pytest.mark.parametrize(
    "steps, allowed",
    [
        ("", {0}),
        ("W", {0, 1}),
        ("WW", {0, 1, 2}),
        ("Wf", {1}),
        ("WfW", {1, 2}),
        ("Wfw", {1, 2}),
        ("wf", {0, 1}),  # a flush covers only what was answered before it
        ("F", {1}),
        ("WF", {2}),
        ("WFWw", {2, 3, 4}),
        ("zf", {-1}),
        ("Wfz", {1, -1}),
    ],
)
def test_what_a_power_loss_may_leave(steps, allowed):
    for number in range(-1, 6):
        found = image(4, 2, number)
        history = history_with(*steps)
        if number in allowed:
            history.check_after_power_loss(4, found)
        else:
            with pytest.raises(WrongSector):
                history.check_after_power_loss(4, found)


@pytest.mark.parametrize(
    "steps, allowed", [("W", {1}), ("WW", {2}), ("Ww", {1, 2}), ("w", {0, 1}), ("Wfww", {1, 2, 3}), ("WWw", {2, 3})]
)
def test_what_a_kill_may_leave(steps, allowed):
    for number in range(-1, 6):
        history = history_with(*steps)
        if number in allowed:
            history.check_after_kill(4, image(4, 2, number))
        else:
            with pytest.raises(WrongSector):
                history.check_after_kill(4, image(4, 2, number))


def test_a_flush_sent_before_an_answer_does_not_cover_it():
    history = SectorHistory(64)
    write = history.write(4, 1)
    covered = history.flush()
    history.written(write)
    history.flushed(covered)
    history.check_after_power_loss(4, image(4, 1, 0))


def test_what_was_lost_stays_lost():
    history = history_with("W")
    history.settle(4, image(4, 2, 0))
    with pytest.raises(WrongSector):
        history.check_after_power_loss(4, image(4, 2, 1))


@pytest.mark.parametrize(
    "data",
    [
        content(5, 0),  # of the sector beside it
        content(4, 0)[:256] + content(4, 1)[256:],  # torn
        content(4, 0)[:-1] + b"\x01",
    ],
)
def test_what_was_never_written_there_is_seen(data):
    with pytest.raises(WrongSector, match="sector 4 holds"):
        SectorHistory(64).check_now(4, data)


def test_the_words_of_a_sector_fill_it():
    assert len(content(7, 3)) == SECTOR
