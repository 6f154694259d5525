# SPDX-License-Identifier: Apache-2.0
"""The Debian packages the lab needs; installs only what is missing."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

# One file that tells whether the package is there -> the package. libvirt-daemon-system is left out on purpose: it
# would start a libvirtd and a default network on the machine itself.
NEEDED = {
    "/usr/sbin/libvirtd": "libvirt-daemon",
    "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so": "libvirt-daemon-driver-qemu",
    "/usr/bin/virsh": "libvirt-clients",
    "/usr/bin/qemu-system-x86_64": "qemu-system-x86",
    "/usr/bin/qemu-img": "qemu-utils",
    "/usr/bin/nbdkit": "nbdkit",
    "/usr/bin/nbdcopy": "libnbd-bin",
    "/usr/bin/fio": "fio",
    "/usr/bin/openssl": "openssl",
    "/usr/bin/fusermount3": "fuse3",
    "/usr/sbin/mkfs.ext4": "e2fsprogs",
    "/usr/bin/gcc": "gcc",
    "/usr/lib/x86_64-linux-gnu/libc.a": "libc6-dev",
    "/bin/busybox": "busybox-static",
    "/usr/sbin/ip": "iproute2",
    "/usr/bin/ping": "iputils-ping",
    "/usr/bin/nsenter": "util-linux",
    "/usr/lib/python3/dist-packages/nbd.py": "python3-libnbd",
    "/usr/lib/python3/dist-packages/pytest/__init__.py": "python3-pytest",
    "/usr/lib/python3/dist-packages/pytest_rerunfailures.py": "python3-pytest-rerunfailures",
    "/usr/lib/python3/dist-packages/xdist/__init__.py": "python3-pytest-xdist",
    "/usr/bin/curl": "curl",  # vmferry's libvirt hook calls it
    "/usr/bin/strace": "strace",  # makes a disk fail
    "/usr/bin/java": "openjdk-17-jre-headless",
}


# What Debian's maintainer scripts ask before they start a service.
POLICY = Path("/usr/sbin/policy-rc.d")

LOCK_TIMEOUT = 300  # seconds to wait for another apt, that of a test running beside this one for example


def missing(needed):
    return sorted({package for file, package in needed.items() if not Path(file).exists() and not on_path(file)})


def on_path(file):
    return "/bin/" in file and shutil.which(Path(file).name) is not None


def install_missing(needed=NEEDED):
    packages = missing(needed)
    if not packages:
        return
    print(f"lab: installing {', '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT}"]
    subprocess.run([*apt, "update"], check=True, env=environment)
    subprocess.run([*apt, "install", "--no-install-recommends", "--yes", *packages], check=True, env=environment)


@contextlib.contextmanager
def services_stay_down():
    """No service of a package that is installed meanwhile is started."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    os.chmod(POLICY, 0o755)
    try:
        yield
    finally:
        POLICY.unlink()


if __name__ == "__main__":
    install_missing()
