# SPDX-License-Identifier: Apache-2.0
"""A disk with a volatile write cache under one folder of a host: at `lose_power` it forgets what was not forced.

An image in memory ← volatile_disk.c, which makes a file of it by FUSE ← loop device ← ext4. Only a flush brings what was
written to the image. The file system above goes through what it goes through at a power loss, its journal is replayed
at the next mount.

Everything lives in the host's own namespaces and goes with them; the loop device frees itself at the unmount.
"""

from . import packages
from .build import compile_c
from .waiting import wait_for

# One file that tells whether the package is there -> the package.
NEEDED = {
    "/usr/include/fuse3/fuse.h": "libfuse3-dev",
    "/usr/bin/fusermount3": "fuse3",
    "/usr/sbin/mkfs.ext4": "e2fsprogs",
}

TIMEOUT = 5  # seconds; everything here takes milliseconds
WORK = "/run/lab/disk"  # the image and the file made of it
FILE = f"{WORK}/fuse/disk"


class VolatileDisk:
    """`with VolatileDisk(host, folder, size, dice) as disk:` has the folder on such a disk, empty at first.

    DICE (random.Random) decides which of the sectors that were not forced survive a loss of power.
    """

    def __init__(self, host, folder, size, dice):
        packages.install_missing(NEEDED)
        self._program = compile_c("volatile_disk.c", "volatile_disk", libraries=["-lfuse3"])
        self._host = host
        self._folder = folder
        self._size = size
        self._dice = dice
        self._disk = host.service("disk")

    def __enter__(self):
        self._host.run(["mkdir", "-p", f"{WORK}/fuse"])
        self._host.run(["truncate", "--size", self._size, f"{WORK}/image"])
        self._host.run(["mkfs.ext4", "-q", "-m", "0", f"{WORK}/image"])
        self.return_power()
        return self

    def __exit__(self, *exception):
        if self._disk.running:
            self.lose_power()
        self._host.run(["rm", "-r", WORK])

    def lose_power(self, *victims):
        """The disk's cache, the page cache over it, and the services (host.Service) that write there go at the same
        moment."""
        for victim in victims:
            victim.pause()
        self._disk.stop(TIMEOUT)
        for victim in victims:
            victim.kill()
        # Lazily: ext4 may be busy for long with what it can't write any more. It can reach nothing of the next disk.
        self._host.run(["umount", "--lazy", self._folder])

    def return_power(self):
        """Mounts what is left."""
        # As often nothing as everything survives, and mostly a part.
        survive = self._dice.choice([0, 0, 200, 500, 800, 1000])
        seed = self._dice.randrange(1 << 31)
        options = ["--image", f"{WORK}/image", "--survive", survive, "--seed", seed]
        self._disk.start([self._program, *options, f"{WORK}/fuse"])
        wait_for(self._is_there, TIMEOUT, f"the disk of {self._host.name} is there", 0.005)
        options = "loop,noatime,commit=300"  # nothing is forced but what is asked for
        self._host.run(["mount", "-t", "ext4", "-o", options, FILE, self._folder])

    def _is_there(self):
        return self._disk.check() and (self._host.root / FILE.lstrip("/")).exists()
