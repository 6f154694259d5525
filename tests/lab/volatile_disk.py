# SPDX-License-Identifier: Apache-2.0
"""A disk with a volatile write cache under one folder of a host: at `lose_power` all is gone that was not forced.

An image in memory ← nbdkit with a write-back cache ← nbdfuse, which makes a file of it ← loop device ← ext4. A flush
is what makes nbdkit write its cache to the image; killed before, it takes the cache along, as a disk does. The file
system above goes through what it goes through at a power loss, its journal is replayed at the next mount.

Everything lives in the host's own namespaces and goes with them; the loop device frees itself at the unmount.
"""

from . import packages
from .waiting import wait_for

# One file that tells whether the package is there -> the package.
NEEDED = {
    "/usr/bin/nbdfuse": "libnbd-bin",
    "/usr/bin/fusermount3": "fuse3",
    "/usr/sbin/mkfs.ext4": "e2fsprogs",
}

TIMEOUT = 5  # seconds; everything here takes milliseconds
WORK = "/run/lab/disk"  # image, socket and the file made of it


class VolatileDisk:
    """`with VolatileDisk(host, folder, size) as disk:` has the folder on such a disk, empty at first."""

    def __init__(self, host, folder, size):
        packages.install_missing(NEEDED)
        self._host = host
        self._folder = folder
        self._size = size
        self._cache = host.service("disk-cache")
        self._fuse = host.service("disk-fuse")

    def __enter__(self):
        self._host.run(["mkdir", "-p", f"{WORK}/fuse"])
        self._host.run(["truncate", "--size", self._size, f"{WORK}/image"])
        self._host.run(["mkfs.ext4", "-q", "-m", "0", f"{WORK}/image"])
        self.return_power()
        return self

    def __exit__(self, *exception):
        if self._cache.running:
            self.lose_power()
        self._host.run(["rm", "-r", WORK])

    def lose_power(self, *victims):
        """The disk's cache, the page cache over it, and the services (host.Service) that write there go at the same
        moment."""
        for victim in victims:
            victim.pause()
        self._cache.kill()
        for victim in victims:
            victim.kill()
        # Lazily: ext4 may be busy for long with what it can't write any more. It can reach nothing of the next disk.
        self._host.run(["umount", "--lazy", self._folder])
        # It may have died of the loss already.
        self._host.run(["fusermount3", "-u", "-z", f"{WORK}/fuse"], check=False)
        self._fuse.kill()

    def return_power(self):
        """Mounts what is left."""
        self._host.run(["rm", "-f", f"{WORK}/socket"])
        disk = ["--filter=cache", "file", f"{WORK}/image", "cache=writeback"]
        self._cache.start(["nbdkit", "--foreground", "--unix", f"{WORK}/socket", *disk])
        wait_for(self._has(f"{WORK}/socket"), TIMEOUT, f"the disk of {self._host.name} is there", 0.005)
        self._fuse.start(["nbdfuse", f"{WORK}/fuse", "--unix", f"{WORK}/socket"])
        wait_for(self._has(f"{WORK}/fuse/nbd"), TIMEOUT, f"the disk of {self._host.name} is a file", 0.005)
        options = "loop,noatime,commit=300"  # nothing is forced but what is asked for
        self._host.run(["mount", "-t", "ext4", "-o", options, f"{WORK}/fuse/nbd", self._folder])

    def _has(self, path):
        return lambda: self._cache.check() and (self._host.root / path.lstrip("/")).exists()
