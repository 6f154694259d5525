# SPDX-License-Identifier: Apache-2.0
"""The deliberate faults: each breaks one rule that data depends on, and names the tests that must see it.

A fault is one or more replacements of a text that occurs exactly once in its file. Most must be seen by a proof that
knows nothing of the code (the crash matrix, the simulation), the others by the test of their class."""

from .blocks import BLOCKS, ORDER_OF_BITS, ORDER_OF_WRITES, PRE_COPY, STALE_MAPS
from .files import DISK, DURABLE_FILES
from .handovers import AGENTS, BY_NAME, HANDOVER

MUTANTS = (
    ORDER_OF_BITS
    + BLOCKS
    + ORDER_OF_WRITES
    + STALE_MAPS
    + PRE_COPY
    + HANDOVER
    + DURABLE_FILES
    + DISK
    + BY_NAME
    + AGENTS
)
