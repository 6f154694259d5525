# SPDX-License-Identifier: Apache-2.0
"""A VM with image files becomes one with volumes, moves with them, and gets files again; on real libvirt and qemu-img."""

import re

from lab import stamp
from lab.product import COMMAND
from lab.verify import verify
from lab.vm import DISK, NBD_SOCKET, Vm

MIB = 1 << 20
SIZE = 48 * MIB
STAMPED = ["first", "second"]  # what the stamps are made for; the guest is told by the serial number
IMAGES = "/var/lib/libvirt/images"

FILE_DISK = """\
    <disk type='file' device='disk'>
      <driver name='qemu' type='{format}' io='threads'/>
      <source file='{file}'/>
      <target dev='vd{letter}' bus='virtio'/>
      <serial>{serial}</serial>
    </disk>
"""


def define_vm(cluster):
    """Shut off, with one disk of each format, and a password that must not get lost."""
    host = cluster.a
    vm = Vm(cluster.lab, STAMPED, name="adopted")
    xml = vm.domain_xml()
    (host.root / IMAGES.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for number, (name, form) in enumerate(zip(STAMPED, ("qcow2", "raw"), strict=True)):
        raw = host.root / f"run/lab/{name}.raw"
        stamp.prefill(raw, name, SIZE)
        host.run(["qemu-img", "convert", "-f", "raw", "-O", form, f"/run/lab/{name}.raw", f"{IMAGES}/{name}.{form}"])
        raw.unlink()
        disk = DISK.format(volume=name, socket=NBD_SOCKET, letter="ab"[number])
        assert disk in xml
        file_disk = FILE_DISK.format(format=form, file=f"{IMAGES}/{name}.{form}", serial=name, letter="ab"[number])
        xml = xml.replace(disk, file_disk)
    xml = xml.replace("    <memballoon", "    <graphics type='vnc' port='-1' passwd='secret'/>\n    <memballoon")
    (host.root / "run/lab/adopted.xml").write_text(xml)
    host.virsh("define", "/run/lab/adopted.xml")
    return vm


def definition(host):
    return host.virsh("dumpxml", "--inactive", "--security-info", "adopted")


def test_images_become_volumes_move_and_become_images(cluster):
    vm = define_vm(cluster)
    a, b = cluster.a, cluster.b
    images = [a.root / IMAGES.lstrip("/") / file for file in ("first.qcow2", "second.raw")]
    before = [image.read_bytes() for image in images]
    said = cluster.product.a.cli("domain", "adopt", "adopted")
    assert said.splitlines() == [
        f"vda is the volume adopted-vda; {IMAGES}/first.qcow2 is kept",
        f"vdb is the volume adopted-vdb; {IMAGES}/second.raw is kept",
    ]
    xml = definition(a)
    assert xml.count("error_policy='stop'") == xml.count("rerror_policy='stop'") * 2 == 4
    assert "passwd='secret'" in xml and "<serial>first</serial>" in xml and IMAGES not in xml

    a.virsh("start", "adopted")
    vm.await_stat(a)
    running = a.run([COMMAND, "domain", "adopt", "adopted"], check=False)
    assert (running.returncode, "is running; shut it down first" in running.stderr) == (1, True)
    vm.migrate(a, b, "--persistent", "--undefinesource")
    for volume in ("adopted-vda", "adopted-vdb"):
        cluster.await_state(b, volume, "SERVING")
        cluster.await_gone(a, volume)
    sums = vm.sum(b)
    vm.assert_consistent(b)
    assert [image.read_bytes() for image in images] == before, "the images are as they were"

    b.virsh("destroy", "adopted")
    said = cluster.product.b.cli("domain", "release", "adopted", "--directory", "/run/lab", "--format", "raw")
    assert re.findall(r"^vd[ab] is (\S+);", said, re.M) == ["/run/lab/adopted-vda.raw", "/run/lab/adopted-vdb.raw"]
    for name, file in zip(STAMPED, ("adopted-vda.raw", "adopted-vdb.raw"), strict=True):
        verdict = verify(b.root / "run/lab" / file, name)
        assert (verdict.broken, verdict.digest) == (0, sums[name])
    assert "nbd" not in definition(b) and "vmferry" not in definition(b)
    again = definition(b).replace("load.fill=500", "load.learn=1")
    (b.root / "run/lab/adopted.xml").write_text(again)
    b.virsh("define", "/run/lab/adopted.xml")
    b.virsh("start", "adopted")
    assert vm.await_stat(b)[-1]["mismatches"] == "0", "it runs from the files, and knows its disks"
    b.virsh("destroy", "adopted")
    b.virsh("undefine", "adopted")


def test_a_failed_adoption_changes_nothing(cluster):
    define_vm(cluster)
    before = definition(cluster.a)
    cluster.product.a.relay.post("/v1/volumes", {"name": "adopted-vdb", "size": MIB})
    failed = cluster.a.run([COMMAND, "domain", "adopt", "adopted"], check=False)
    assert (failed.returncode, "adopted-vdb" in failed.stderr) == (1, True)
    assert definition(cluster.a) == before
    assert cluster.volume(cluster.a, "adopted-vda") is None
    assert cluster.volume(cluster.a, "adopted-vdb")["size"] == MIB, "it was there before"
    cluster.a.virsh("undefine", "adopted")
