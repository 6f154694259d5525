# SPDX-License-Identifier: Apache-2.0
"""The short soak: one VM moves to and fro while processes die and the link is cut. The long one is `tests/soak`."""

import pytest

from lab import soak
from lab.paths import TARGET

MIGRATIONS = 5
SEED = 7  # kills relays of both sides, in fetch mode too, and libvirtds of both, and cuts the link


def test_five_migrations_with_random_kills_and_cuts(cluster):
    run = soak.Soak(cluster, SEED)
    run.run(MIGRATIONS)
    print(dict(run.tally))
    assert run.tally["rounds"] == MIGRATIONS
    assert run.tally["kills of a relay"] > 0 and run.tally["migrations that succeeded"] > 0


def test_a_load_that_stands_still_is_seen_and_what_could_explain_it_is_kept(cluster, monkeypatch):
    monkeypatch.setattr(soak, "PROGRESS_TIMEOUT", 3)
    run = soak.Soak(cluster, SEED)
    assert run.settle() is cluster.a
    run.vm.command(cluster.a, "rate idle")
    run.vm.await_stat(cluster.a)  # the second in which it still worked
    with pytest.raises(soak.StandStill, match="load stood still for 3 s on hosta(.|\n)*writes=0"):
        run.settle()
    kept = TARGET / "logs" / "stand-still"
    report = (kept / "report.txt").read_text()
    assert "'state': 'SERVING'" in report and "hosta: info block" in report and "VM status: running" in report
    for process in ("relay", "agent"):
        assert "Full thread dump" in (kept / f"hosta-{process}.log").read_text()
