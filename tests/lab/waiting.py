# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true, never longer than said."""

import time


def wait_for(condition, timeout, what, interval=0.02):
    """Returns the first true answer of CONDITION; raises TimeoutError naming WHAT after TIMEOUT seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s in vain until {what}")
        time.sleep(interval)
