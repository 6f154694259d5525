# SPDX-License-Identifier: Apache-2.0
"""Copies between volumes, and between volumes and raw files, with qemu-img over the relay's NBD socket."""

import urllib.parse


def uri(volume, socket):
    """The volume's address as qemu-img wants it."""
    return f"nbd+unix:///{urllib.parse.quote(volume, safe='')}?socket={urllib.parse.quote(socket)}"


class QemuImg:
    """EXECUTE is cinder.utils.execute or alike: it raises if the command fails. The user that it runs as must be in the
    group of the NBD socket."""

    def __init__(self, execute, socket):
        self._execute = execute
        self._socket = socket

    def fill(self, volume, file):
        """Copies a raw file into a volume that is new: its zeroes are there already."""
        self._convert(["-n", "--target-is-zero"], file, uri(volume, self._socket))

    def copy_out(self, volume, file):
        """Copies a volume into a raw file."""
        self._convert([], uri(volume, self._socket), file)

    def copy(self, source, target):
        """Copies a volume into another one that is new and not smaller."""
        self._convert(["-n", "--target-is-zero"], uri(source, self._socket), uri(target, self._socket))

    def _convert(self, options, source, target):
        # convert's default cache mode for what it writes is "unsafe": it would never flush.
        command = ["qemu-img", "convert", "-t", "writeback", *options, "-f", "raw", "-O", "raw", source, target]
        self._execute(*command)
