# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can hold the cloud; as a program it says why not, with status 1."""

import sys
from pathlib import Path

# MiB: 3 GiB of services, databases in memory, relays and agents, three guests, and some air.
NEEDED = 6144


def lacking():
    """Why this machine can't hold a cloud, or None."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) // 1024
    return None if free >= NEEDED else f"it needs {NEEDED} MiB of free memory, this machine has {free} MiB"


if __name__ == "__main__":
    reason = lacking()
    if reason:
        print(reason)
        sys.exit(1)
