# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true, never longer than said."""

import os
import time

# On a machine with little time for the lab every limit is so many times as long.
_PATIENCE = float(os.environ.get("VMFERRY_LAB_PATIENCE", "1"))


def patient(timeout):
    """How many seconds to wait on this machine for what takes less than TIMEOUT on an idle one."""
    return timeout * _PATIENCE


def wait_for(condition, timeout, what, interval=0.02):
    """Returns the first true answer of CONDITION; raises TimeoutError naming WHAT after TIMEOUT seconds."""
    timeout = patient(timeout)
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain until {what}")
        time.sleep(interval)
