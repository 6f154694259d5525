# SPDX-License-Identifier: Apache-2.0
"""The ways to move a running VM with its disk that tests/wan-bench compares, each behind the same few steps."""

import re
import xml.etree.ElementTree as ElementTree

from . import stamp
from .vm import Vm
from .waiting import wait_for

IMAGES = "/var/lib/libvirt/images"
NBD_PORT = 10809
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"

FILE_DISK = """\
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none' discard='unmap'/>
      <source file='{images}/{volume}'/>
      <target dev='vd{letter}' bus='virtio'/>
      <serial>{volume}</serial>
    </disk>
"""


class FileVm(Vm):
    """A VM whose disks are raw files, as one that knows no vmferry has them."""

    def disk_xml(self, volume, letter):
        return FILE_DISK.format(images=IMAGES, volume=volume, letter=letter)


class System:
    """One way. A case makes one of these, calls the methods in this order, and `clean` in any case."""

    name = None

    def __init__(self, cluster):
        self.cluster = cluster
        self.a, self.b = cluster.a, cluster.b

    def make(self, name, size, fill, **load):
        """The VM, not started, and its volume at the first host."""
        raise NotImplementedError

    def options(self):
        """What `virsh migrate --live` is told besides the destination."""
        return []

    def arrived(self):
        """The VM runs at the destination and `virsh migrate` has ended."""

    def present(self):
        """Share of the volume that is at the destination, 0 to 1, as the system itself says; None if it says nothing."""
        raise NotImplementedError

    def source_can_go(self):
        """Whether the destination needs nothing of the source any more. Asked after `arrived`."""
        raise NotImplementedError

    def clean(self):
        """Nothing of the case is left; the VM is gone by then."""
        self.cluster.clear()


class PostCopy(System):
    """vmferry as it comes: the disk follows the VM."""

    name = "vmferry post-copy"
    pre_copy = "none"

    def make(self, name, size, fill, **load):
        self.volume = name
        self.cluster.product.set_pre_copy(self.pre_copy)
        self.cluster.product.create_volume(name, size, fill)
        return Vm(self.cluster.lab, [name], name=name, fill=fill, **load)

    def present(self):
        volume = self.cluster.volume(self.b, self.volume)
        return volume["present"] / volume["size"] if volume else 0.0

    def source_can_go(self):
        """The destination has every block, durably, and the source knows; when its agent deletes the copy is another matter."""
        source = self.cluster.volume(self.a, self.volume)
        told = source is None or source["completeAt"]
        return self.cluster.volume(self.b, self.volume)["state"] == "SERVING" and bool(told)

    def clean(self):
        self.cluster.product.set_pre_copy("none")
        super().clean()


class Hybrid(PostCopy):
    """vmferry with a head start: what is seldom written moves while memory does."""

    name = "vmferry hybrid"
    pre_copy = "hot-last"


class FileSystemBased(System):
    """Ways that begin with a raw file at the first host."""

    def make(self, name, size, fill, **load):
        self.volume, self.size = name, size
        self.source = self.file(self.a, name)
        self.source.parent.mkdir(exist_ok=True)
        stamp.prefill(self.source, name, size, fill)
        self.vm = FileVm(self.cluster.lab, [name], name=name, fill=fill, **load)
        return self.vm

    def file(self, host, name):
        """An image, as a path outside the hosts."""
        return host.root / IMAGES.lstrip("/") / name

    def clean(self):
        super().clean()
        for host in (self.a, self.b):
            for left in (host.root / IMAGES.lstrip("/")).glob(f"{self.volume}*"):
                left.unlink()


class CopyStorage(FileSystemBased):
    """libvirt's own: QEMU mirrors the disk to the destination, then memory follows."""

    name = "copy-storage-all"
    flags = ()

    def options(self):
        destination = self.file(self.b, self.volume)
        destination.parent.mkdir(exist_ok=True)
        with open(destination, "wb") as image:
            image.truncate(self.size)
        self.moved = False
        return ["--copy-storage-all", *self.flags]

    def arrived(self):
        self.moved = True

    def present(self):
        if self.moved:
            return 1.0
        text = self.a.run(["virsh", "--quiet", "domjobinfo", self.volume, "--rawstats"], check=False).stdout
        figures = dict(re.findall(r"(disk_\w+):\s+(\d+)", text))
        total = int(figures.get("disk_total", 0))
        return 1 - int(figures["disk_remaining"]) / total if total else None

    def source_can_go(self):
        return True  # everything is there before the VM runs there


class SynchronousCopyStorage(CopyStorage):
    """The same, but each write of the guest waits until the destination has it: so it ends."""

    name = "copy-storage-all, synchronous writes"
    flags = ("--copy-storage-synchronous-writes",)


class BlockStream(FileSystemBased):
    """Post-copy out of QEMU's own parts: an overlay at the destination on top of an NBD export of the source's file,
    filled by block-stream. Nothing guards it: a lost link is an I/O error, and both sides may write."""

    name = "NBD backing file, block-stream"

    def options(self):
        self.server = self.a.service("nbd-backing").start(
            ["nbdkit", "--foreground", "--readonly", "--ipaddr", self.a.address, "--port", NBD_PORT,
             "file", f"{IMAGES}/{self.volume}"]
        )  # fmt: skip
        wait_for(self._listens, 5, f"nbdkit listens on {self.a.name}: see {self.server.log}")
        self.overlay = f"{IMAGES}/{self.volume}.qcow2"
        self.b.run(["mkdir", "--parents", IMAGES])
        backing = f"nbd://{self.a.address}:{NBD_PORT}"
        self.b.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing, self.overlay])
        (self.a.root / "run/lab/overlay.xml").write_text(self._destination_xml())
        self.streaming = False
        # libvirt rightly calls it that: nothing tells it that the overlay reads what the guest wrote.
        return ["--unsafe", "--xml", "/run/lab/overlay.xml"]

    def _listens(self):
        self.server.check()
        command = ["qemu-img", "info", f"nbd://{self.a.address}:{NBD_PORT}"]
        return self.a.run(command, check=False).returncode == 0

    def _destination_xml(self):
        """The domain as it is, with the overlay as its disk."""
        ElementTree.register_namespace("qemu", QEMU_NAMESPACE)
        domain = ElementTree.fromstring(self.a.virsh("dumpxml", "--migratable", self.volume))
        disk = domain.find("devices/disk")
        disk.find("driver").set("type", "qcow2")
        disk.find("source").set("file", self.overlay)
        for old in disk.findall("backingStore"):
            disk.remove(old)
        backing = ElementTree.SubElement(disk, "backingStore", type="network")
        ElementTree.SubElement(backing, "format", type="raw")
        source = ElementTree.SubElement(backing, "source", protocol="nbd", name="")
        ElementTree.SubElement(source, "host", name=self.a.address, port=str(NBD_PORT))
        ElementTree.SubElement(backing, "backingStore")
        return ElementTree.tostring(domain, encoding="unicode")

    def arrived(self):
        self.b.virsh("blockpull", self.volume, "vda")
        self.streaming = True

    def present(self):
        if not self.streaming:
            return 0.0
        job = self._job()
        if job is None:
            return 1.0
        return job["cur"] / job["end"] if job["end"] else 0.0

    def source_can_go(self):
        return self._job() is None

    def _job(self):
        """The stream's progress; None when it has ended."""
        text = self.b.run(["virsh", "--quiet", "blockjob", self.volume, "vda", "--raw"], check=False).stdout
        job = {key: int(value) for key, value in re.findall(r"(cur|end)=(\d+)", text)}
        return job or None

    def clean(self):
        if getattr(self, "server", None) is not None:
            self.server.kill()
        super().clean()


SYSTEMS = [PostCopy, Hybrid, CopyStorage, SynchronousCopyStorage, BlockStream]
