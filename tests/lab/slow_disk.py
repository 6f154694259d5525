# SPDX-License-Identifier: Apache-2.0
"""A real ext4 on a disk that takes its time: memory behind nbdkit's delay filter, as a file by nbdfuse, on a loop device.

Only what has to go to the disk is slow. What is in the page cache is as quick as anywhere, so a server that lets quick
requests wait for slow ones is seen.
"""

import os
import subprocess
from pathlib import Path

from . import packages
from .waiting import wait_for

NEEDED = {
    "/usr/bin/nbdkit": "nbdkit",
    "/usr/bin/nbdfuse": "nbdfuse",
    "/usr/sbin/losetup": "mount",
    "/usr/sbin/mkfs.ext4": "e2fsprogs",
}

START_TIMEOUT = 20  # seconds
END_TIMEOUT = 5  # seconds after its unmounting


class SlowDisk:
    """`with SlowDisk(folder, ...) as disk:` has an empty file system mounted at `disk.mounted`."""

    def __init__(self, folder, size, read_ms=0, write_ms=0):
        self._folder = Path(folder)
        self._delays = [f"delay-read={read_ms}ms", f"delay-write={write_ms}ms"]
        self._size = size
        self._undo = []
        self.mounted = self._folder / "mounted"

    def __enter__(self):
        packages.install_missing(NEEDED)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        while self._undo:
            self._undo.pop()()

    def forget(self, path, offset=0, length=0):
        """Takes a range of a file (LENGTH 0: to its end) out of the page cache: the next read of it reaches the disk."""
        _forget(path, offset, length)
        _forget(self._folder / "disk", 0, 0)  # which is a file too, below the loop device

    def _start(self):
        # The file system is made while the disk is still quick: its hundreds of small writes are not the test.
        image = self._folder / "image"
        with open(image, "wb") as file:
            file.truncate(self._size)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
        socket = self._folder / "disk.sock"
        self._serve("nbdkit", "--foreground", "--unix", socket, "--filter=delay", "file", image, *self._delays)
        wait_for(socket.exists, START_TIMEOUT, "nbdkit listens")
        file = self._folder / "disk"
        file.touch()
        fuse = self._serve("nbdfuse", file, f"nbd+unix:///?socket={socket}", end=False)
        self._undo.append(lambda: _end(fuse))
        self._undo.append(lambda: _run("fusermount3", "-u", "-z", file, check=False))
        wait_for(lambda: file.stat().st_size == self._size, START_TIMEOUT, "nbdfuse shows the disk")
        loop = _run("losetup", "--find", "--show", file)
        self._undo.append(lambda: _run("losetup", "--detach", loop, check=False))
        self.mounted.mkdir()
        _run("mount", loop, self.mounted)
        self._undo.append(lambda: _run("umount", self.mounted, check=False))

    def _serve(self, *command, end=True):
        with open(self._folder / "log", "ab") as log:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if end:
            self._undo.append(process.wait)
            self._undo.append(process.kill)
        return process


def _end(fuse):
    """By its unmounting; by force if that isn't enough: a host of a lab that was started meanwhile has all mounts too."""
    try:
        fuse.wait(END_TIMEOUT)
    except subprocess.TimeoutExpired:
        fuse.kill()
        fuse.wait()


def _forget(path, offset, length):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # only what is clean can be forgotten
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _run(*command, check=True):
    done = subprocess.run(list(map(str, command)), check=check, capture_output=True, text=True)
    return done.stdout.strip()
