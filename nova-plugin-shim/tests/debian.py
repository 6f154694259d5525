# SPDX-License-Identifier: Apache-2.0
"""Debian's Cinder and Nova as libraries: their real classes, without any of their services."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from lab import packages  # noqa: E402

DIST = "/usr/lib/python3/dist-packages"
NEEDED = {
    f"{DIST}/nova/__init__.py": "python3-nova",
    f"{DIST}/cinder/__init__.py": "python3-cinder",
    f"{DIST}/os_brick/__init__.py": "python3-os-brick",
    f"{DIST}/libvirt.py": "python3-libvirt",
    f"{DIST}/pytest/__init__.py": "python3-pytest",
    "/usr/bin/qemu-img": "qemu-utils",
}


def install_missing():
    if packages.missing(NEEDED):
        # Some of what Cinder needs brings services, such as open-iscsi.
        with packages.services_stay_down():
            packages.install_missing(NEEDED)


if __name__ == "__main__":
    install_missing()
