# SPDX-License-Identifier: Apache-2.0
"""The short soak: one VM moves to and fro while processes die and the link is cut. The long one is `tests/soak`."""

from lab.soak import Soak

MIGRATIONS = 5
SEED = 7  # kills relays of both sides, in fetch mode too, and libvirtds of both, and cuts the link


def test_five_migrations_with_random_kills_and_cuts(cluster):
    soak = Soak(cluster, SEED)
    soak.run(MIGRATIONS)
    print(dict(soak.tally))
    assert soak.tally["rounds"] == MIGRATIONS
