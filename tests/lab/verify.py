#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks every sector of a lab volume, in a raw image or behind an NBD URI, and prints the digest.

The digest is the one that the guest prints for its command `sum`, if nothing was lost. Exit status: 0 all stamps are
valid, 1 some are broken.
"""

import argparse
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import stamp  # noqa: E402


def verify_image(path, volume, size=None):
    with open(path, "rb") as image:
        size = size or os.fstat(image.fileno()).st_size
        return stamp.check(volume, size, lambda offset, length: os.pread(image.fileno(), length, offset))


def verify_nbd(uri, volume, size=None):
    import nbd

    client = nbd.NBD()
    client.connect_uri(uri)
    try:
        return stamp.check(volume, size or client.get_size(), lambda offset, length: client.pread(length, offset))
    finally:
        client.shutdown()


def verify(source, volume, size=None):
    """SOURCE is a path or an nbd URI; VOLUME the name under which it was prefilled; SIZE how much of it, in bytes: all
    unless said."""
    return verify_nbd(source, volume, size) if "://" in str(source) else verify_image(source, volume, size)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", help="raw image or NBD URI (nbd+unix:///VOLUME?socket=PATH)")
    parser.add_argument("--volume", help="name of the volume; default: the file's name without .raw")
    arguments = parser.parse_args()
    volume = arguments.volume or Path(arguments.source).name.removesuffix(".raw")
    verdict = verify(arguments.source, volume)
    print(
        f"volume={volume} sectors={verdict.sectors} digest={verdict.digest} holes={verdict.holes} "
        f"written={verdict.written} broken={verdict.broken} first_broken={verdict.first_broken}"
    )
    sys.exit(1 if verdict.broken else 0)


if __name__ == "__main__":
    main()
