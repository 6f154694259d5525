# SPDX-License-Identifier: Apache-2.0
"""What a lab could leave behind on the machine. Of another lab that runs at the same time it sees the processes too."""

import os
from pathlib import Path

from .paths import RUNNING


class Traces:
    """As it is now; equal to another one if nothing came and nothing went."""

    def __init__(self):
        self.processes = set()
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except (FileNotFoundError, ProcessLookupError):
                continue
            if any(str(RUNNING).encode() in word for word in command) or self.in_other_namespace(entry):
                self.processes.add(entry.name)
        self.mounts = Path("/proc/self/mounts").read_text()
        self.devices = sorted(os.listdir("/sys/class/net"))
        self.files = [path for path in (RUNNING, Path("/etc/vmferry"), Path("/var/lib/vmferry")) if path.exists()]

    @staticmethod
    def in_other_namespace(process):
        try:
            return os.readlink(process / "ns/pid") != os.readlink("/proc/self/ns/pid")
        except OSError:
            return False

    def __eq__(self, other):
        return vars(self) == vars(other)
