# SPDX-License-Identifier: Apache-2.0
"""All logs of both hosts on one timeline, to be read when something has failed."""

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .paths import RUNNING, TARGET

# 2026-11-21 03:33:24.962+0000 (libvirt), 2026-11-21T03:33:24.962Z (QEMU, ISO 8601); local time without an offset.
STAMP = re.compile(r"^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)[.,](\d{3,6})\d*(Z|[+-]\d\d:?\d\d)?:?\s*")
SECONDS = re.compile(r"^(\d{10}\.\d{3}) ")  # the lab's own notes
GUEST = re.compile(r"^load: \w+ t=(\d+\.\d+)")  # the guest's clock, which stood still during each downtime


@dataclass(frozen=True, order=True)
class Entry:
    time: float  # seconds since 1970
    host: str
    source: str
    text: str

    def __str__(self):
        clock = datetime.fromtimestamp(self.time).strftime("%H:%M:%S.%f")[:-3]
        return f"{clock} {self.host:5} {self.source:12} {self.text}"


def logs(folder=RUNNING):
    """All log files of a lab: (host name, source, path)."""
    found = [("lab", path.stem, path) for path in Path(folder).glob("*.log")]
    for host in sorted(path.parent.name for path in Path(folder).glob("*/logs")):
        for place in ("logs", "root/var/log/libvirt", "root/var/log/libvirt/qemu"):
            for path in sorted((Path(folder) / host / place).glob("*.log")):
                found.append((host, "qemu-" + path.stem if place.endswith("qemu") else path.stem, path))
    return found


def merged(folder=RUNNING):
    """The entries of all logs in the order of their times."""
    entries = []
    for host, source, path in logs(folder):
        entries += parse(host, source, path.read_text(errors="replace"), path.stat().st_ctime)
    return sorted(entries, key=lambda entry: entry.time)


def parse(host, source, text, otherwise):
    """The entries of one log. A line without a time has that of the line before, or, at the start, of the next one;
    a log without any has the time OTHERWISE."""
    times = [time_of(line) for line in text.splitlines()]
    current = next((time for time in times if time is not None), otherwise)
    entries = []
    for time, line in zip(times, text.splitlines()):
        current = current if time is None else time
        if line.strip() and not line.endswith(" \\"):  # QEMU's command line, one option per line
            entries.append(Entry(current, host, source, STAMP.sub("", SECONDS.sub("", line))))
    return entries


def time_of(line):
    if match := STAMP.match(line):
        day, clock, fraction, offset = match.groups()
        zone = (offset or "").replace("Z", "+00:00")
        return datetime.fromisoformat(f"{day}T{clock}.{fraction:0<6}{zone}").timestamp()
    match = SECONDS.match(line) or GUEST.match(line)
    return float(match.group(1)) if match else None


def keep(destination, folder=RUNNING):
    """Copies all logs and the timeline to a folder that outlives the lab; returns the timeline's entries."""
    destination = Path(destination)
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    for host, source, path in logs(folder):
        shutil.copy(path, destination / f"{host}-{source}.log")
    entries = merged(folder)
    (destination / "timeline.txt").write_text("".join(f"{entry}\n" for entry in entries))
    return entries


def folder_of(test):
    """Where the logs of a test are kept; TEST is pytest's item."""
    run = getattr(test, "execution_count", 1)  # set when tests/all repeats a test
    name = re.sub(r"\W+", "-", test.nodeid).strip("-")
    return TARGET / "logs" / (name + (f"-run-{run}" if run > 1 else ""))
