# SPDX-License-Identifier: Apache-2.0
"""Where things are. Everything the lab makes is below one of these two folders."""

import os
from pathlib import Path

LAB = Path(__file__).resolve().parent
REPOSITORY = LAB.parent.parent

# Built programs, the guest's kernel and initramfs, and the logs of failed tests; kept between runs.
TARGET = REPOSITORY / "tests" / "target"

# The running lab: both hosts' folders, the control socket, the state file; gone when the lab is down.
# Its path must be short: Unix sockets in it are limited to 107 characters.
RUNNING = Path(os.environ.get("VMFERRY_LAB_DIR", "/var/tmp/vmferry-lab"))
