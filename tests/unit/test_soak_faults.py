# SPDX-License-Identifier: Apache-2.0
"""The soak's faults: the same for the same seed, within their bounds, and of every kind."""

import random

from lab.soak import CUT, DOWN, FAULTS_PER_ROUND, LATEST, Agenda, draw


def rounds(seed, number):
    dice = random.Random(seed)
    return [draw(dice) for _ in range(number)]


def test_the_same_seed_draws_the_same_faults():
    assert rounds(5, 50) == rounds(5, 50)
    assert rounds(5, 50) != rounds(6, 50)


def test_faults_stay_within_their_bounds():
    for faults in rounds(1, 500):
        assert len(faults) in FAULTS_PER_ROUND
        for fault in faults:
            low, high = CUT if fault.kind == "cut" else DOWN
            assert 0 <= fault.at <= LATEST[fault.after] and low <= fault.lasts <= high


def test_every_kind_of_fault_is_drawn():
    drawn = {(fault.what, fault.where, fault.after) for faults in rounds(1, 500) for fault in faults}
    for phase in LATEST:
        for process in ("relay", "agent", "libvirtd"):
            assert {(process, "source", phase), (process, "destination", phase)} <= drawn
        assert {("link", "ab", phase), ("link", "ba", phase), ("link", None, phase)} <= drawn


def test_the_agenda_runs_what_is_due_in_its_order():
    done = []
    agenda = Agenda()
    agenda.add(0, lambda: done.append("first"))
    agenda.add(0, lambda: agenda.add(0, lambda: done.append("third")))
    agenda.add(0, lambda: done.append("second"))
    agenda.add(3600, lambda: done.append("in an hour"))
    agenda.run_due()
    assert done == ["first", "second", "third"] and agenda
