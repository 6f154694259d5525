# SPDX-License-Identifier: Apache-2.0
"""Where a relay's CPU time goes while it is under load: samples of the kernel's clock, kernel and Java code alike.

Needs nothing of the relay. Software sampling works in virtual machines too, where the processor's counters often don't.
"""

import re
import subprocess
from collections import Counter

NEEDED = {"/usr/bin/perf": "linux-perf", "/usr/bin/jcmd": "openjdk-17-jdk-headless"}

FREQUENCY = 1999  # samples per second; not a round number, so that nothing periodic is always hit or always missed
MOST = 12  # functions named
TIMEOUT = 60  # seconds for a tool beyond the time that is watched

# What a function of the kernel is for, by its name. The first that fits counts; hooks of accounting and hardening are
# called from everywhere and are their own kind.
KERNEL = [
    ("copying data", r"^_?copy_|_copy_(to|from)_iter|^rep_|^memcpy|^fault_in"),
    ("memory for messages and accounting", r"slab|kmem_|kmalloc|kfree|memcg|cgroup|alloc|free|page_counter|check_object|virt_addr"),
    ("socket", r"unix|sock|skb|scm_|sendmsg|recvmsg|sendto|recvfrom|sendfile|splice"),
    ("page cache and file system", r"filemap|folio|page|ext4|iomap|jbd2|xas_|xa_|inode|vfs_|buffer|generic_perform|touch_atime|atime|mark_"),
    ("waiting and waking", r"epoll|^ep_|poll|wake|sched|futex|eventfd|idle|hrtimer|timer"),
    ("entry and locks", r"syscall|entry|lock|fdget|fput|mutex"),
]


def kind(place, function):
    """The row of the table that a sample belongs to."""
    if "kernel" in place:
        return next((name for name, pattern in KERNEL if re.search(pattern, function)), "other parts of the kernel")
    if "JIT" in place or ".map" in place:
        return "Java code"
    if "vdso" in place:
        return "reading the clock"
    return "JVM" if "libjvm" in place else "native libraries"


class Profile:
    """Samples one process for some seconds from now on; `table` waits for the end."""

    def __init__(self, pid, seconds, file):
        self._pid, self._file, self._seconds = pid, file, seconds
        command = ["perf", "record", "--event=cpu-clock", f"--freq={FREQUENCY}", f"--pid={pid}", f"--output={file}"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._perf = subprocess.Popen([*command, "--", "sleep", str(seconds)], **quiet)

    def table(self):
        """Rows of kinds, then of functions; each with its share of all samples."""
        self._perf.wait(self._seconds + TIMEOUT)
        # The names of compiled Java code, where perf looks for them.
        subprocess.run(["jcmd", str(self._pid), "Compiler.perfmap"], check=True, capture_output=True, timeout=TIMEOUT)
        command = ["perf", "report", f"--input={self._file}", "--stdio", "--sort=dso,symbol", "--field-separator=|"]
        text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT).stdout
        return rows(text)


def rows(text):
    """The table of what perf reports, without its heading."""
    functions = []
    for line in text.splitlines():
        match = re.match(r"\s*([\d.]+)%\s*\|\s*(.*?)\s*\|\s*\[.\]\s*(.*?)\s*(\|.*)?$", line)
        if match:
            functions.append((float(match[1]), match[2], match[3]))
    kinds = Counter()
    for share, place, function in functions:
        kinds[kind(place, function)] += share
    table = [[name, f"{share:.0f} %"] for name, share in kinds.most_common()]
    return table + [[f"`{function[:70]}`", f"{share:.1f} %"] for share, _, function in functions[:MOST]]
