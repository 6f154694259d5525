# SPDX-License-Identifier: Apache-2.0
"""Builds what the guest boots: Debian's cloud kernel (unpacked, never installed) and an initramfs with the load."""

import gzip
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..build import compile_c
from ..paths import LAB, TARGET

GUEST = TARGET / "guest"
BUSYBOX = Path("/bin/busybox")
KERNEL_PACKAGE = "linux-image-cloud-amd64"

# In the order in which they must be loaded.
MODULES = ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"]

FILE = 0o100755
FOLDER = 0o040755


@dataclass(frozen=True)
class GuestImage:
    kernel: Path
    initramfs: Path


def build():
    """Returns the guest's kernel and initramfs; downloads the kernel only once."""
    kernel = GUEST / "vmlinuz"
    if not kernel.exists():
        unpack_kernel(kernel)
    load = compile_c("guest/load.c", "load", "-static", "-pthread")
    initramfs = GUEST / "initramfs.gz"
    inputs = [load, LAB / "guest/init", LAB / "guest/image.py", kernel]
    if not initramfs.exists() or initramfs.stat().st_mtime <= max(i.stat().st_mtime for i in inputs):
        initramfs.write_bytes(gzip.compress(archive(load), compresslevel=1, mtime=0))
    return GuestImage(kernel, initramfs)


def unpack_kernel(kernel):
    """Takes the kernel and the few modules out of the newest cloud kernel package."""
    depends = subprocess.run(["apt-cache", "depends", KERNEL_PACKAGE], check=True, capture_output=True, text=True)
    images = [line.split()[-1] for line in depends.stdout.splitlines() if "Depends: linux-image-" in line]
    if not images:
        raise RuntimeError(f"no {KERNEL_PACKAGE} package is known: run apt-get update, then try again")
    GUEST.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=GUEST) as folder:
        # As root without the sandbox user, which may not be able to write here.
        download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", images[0]]
        subprocess.run(download, check=True, cwd=folder)
        [package] = Path(folder).glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", str(package), f"{folder}/root"], check=True)
        for module in MODULES:
            [found] = Path(folder).glob(f"root/lib/modules/*/kernel/drivers/*/{module}.ko")
            found.replace(GUEST / f"{module}.ko")
        [image] = Path(folder).glob("root/boot/vmlinuz-*")
        image.replace(kernel)  # last: its presence says that the rest is complete


def archive(load):
    """The initramfs as a cpio archive ("newc" format)."""
    entries = [(name, FOLDER, b"") for name in ("bin", "dev", "proc", "sys", "modules")]
    entries += [("init", FILE, (LAB / "guest/init").read_bytes())]
    entries += [("bin/busybox", FILE, BUSYBOX.read_bytes()), ("load", FILE, load.read_bytes())]
    entries += [("modules/order", FILE, "".join(f"{m}.ko\n" for m in MODULES).encode())]
    entries += [(f"modules/{m}.ko", FILE, (GUEST / f"{m}.ko").read_bytes()) for m in MODULES]
    entries += [("TRAILER!!!", 0, b"")]
    return b"".join(cpio_entry(number, *entry) for number, entry in enumerate(entries, 1))


def cpio_entry(number, name, mode, data):
    links = 2 if mode == FOLDER else 1
    fields = [number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + "".join(f"{f:08x}" for f in fields).encode() + name.encode() + b"\0"
    return padded(header) + padded(data)


def padded(data):
    return data + b"\0" * (-len(data) % 4)
