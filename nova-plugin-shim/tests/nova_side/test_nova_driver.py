# SPDX-License-Identifier: Apache-2.0
"""The Nova side against Nova's real driver, guest, configuration and migration classes, and libvirt's parser."""

import subprocess
import sys
from unittest import mock

import pytest
from conftest import SHIM, connection
from lxml import etree
from nova import exception
from nova import objects
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import migration

from vmferry_openstack import nova_disk, nova_driver, nova_volume

DISK_INFO = {"type": "disk", "dev": "vda", "bus": "virtio"}

RBD = """<disk type="network" device="disk"><driver name="qemu" type="raw" cache="writeback" discard="unmap"/>
<source protocol="rbd" name="pool/image"><host name="192.0.2.1" port="6789"/><host name="192.0.2.2" port="6789"/></source>
<target dev="vda" bus="virtio"/></disk>"""


def disk_xml(volume_driver, connection_info):
    return volume_driver.get_config(connection_info, DISK_INFO).to_xml()


def attributes(xml):
    disk = etree.fromstring(xml)
    return {name: dict(disk.find(name).attrib) for name in ("source", "source/host", "driver")}


# ---- as Nova sees it


def test_nova_loads_it_by_the_name_in_the_documentation(compute_driver):
    assert isinstance(compute_driver, libvirt_driver.LibvirtDriver)
    assert type(compute_driver) is nova_driver.VmferryLibvirtDriver


def test_all_types_of_volumes_of_nova_are_still_there(compute_driver):
    assert set(libvirt_driver.VOLUME_DRIVERS) >= {"iscsi", "rbd", "local", "nfs", "nvmeof"}
    assert isinstance(compute_driver._get_volume_driver({"driver_volume_type": "nbd"}), nova_volume.VmferryVolumeDriver)


def test_without_it_nova_knows_no_nbd():
    """What the driver is for. In a process of its own, because registering can't be undone."""
    program = (
        "from nova.virt.libvirt import driver; assert 'nbd' not in driver.VOLUME_DRIVERS;"
        "from vmferry_openstack import nova_driver; nova_driver.register(); nova_driver.register();"
        "assert driver.VOLUME_DRIVERS['nbd'] == nova_driver.VOLUME_DRIVER"
    )
    subprocess.run([sys.executable, "-c", program], cwd=SHIM, check=True, timeout=120)


# ---- the disk


def test_the_disk_of_a_volume(volume_driver, connection_info, tmp_path):
    assert attributes(disk_xml(volume_driver, connection_info)) == {
        "source": {"protocol": "nbd", "name": "volume-1"},
        "source/host": {"transport": "unix", "socket": f"{tmp_path}/nbd.sock"},
        "driver": {
            "name": "qemu", "type": "raw", "cache": "none", "discard": "unmap",
            "error_policy": "stop", "rerror_policy": "stop",
        },
    }


def test_libvirt_accepts_the_disk_and_nova_reads_it_back(volume_driver, connection_info, define):
    guest = define(disk_xml(volume_driver, connection_info))
    [disk] = guest.get_all_disks()
    assert attributes(disk.to_xml()) == attributes(disk_xml(volume_driver, connection_info))
    again = vconfig.LibvirtConfigGuestDisk()
    again.parse_str(disk.to_xml())
    assert again.to_xml() == disk.to_xml()


def test_quality_of_service_and_serial_stay(volume_driver, connection_info, define):
    connection_info["data"]["qos_specs"] = {"total_iops_sec": 500}
    disk = etree.fromstring(define(disk_xml(volume_driver, connection_info))._domain.XMLDesc())
    assert disk.findtext(".//serial") == connection_info["serial"]
    assert disk.findtext(".//total_iops_sec") == "500"


def test_detach_writes_what_libvirt_knows_as_that_disk(
    compute_driver, volume_driver, connection_info, define, instance, agent
):
    """Nova reads the live XML and sends it back. Its stock class fails here."""
    guest = define(disk_xml(volume_driver, connection_info))
    sent = []

    def detach(guest, uuid, get_device, device_name):
        sent.append(get_device().to_xml())

    with mock.patch.object(compute_driver._host, "get_guest", return_value=guest), \
            mock.patch.object(compute_driver, "_detach_with_retry", side_effect=detach):
        compute_driver.detach_volume(None, connection_info, instance, "/dev/vda")
    assert attributes(sent[0]) == attributes(disk_xml(volume_driver, connection_info))


def test_hot_attach_and_detach_send_the_same_disk(volume_driver, connection_info, define):
    guest = define(disk_xml(volume_driver, connection_info))
    guest.attach_device(volume_driver.get_config(connection_info, DISK_INFO), live=True)
    guest.detach_device(guest.get_disk("vda"), live=True)
    attached, detached = guest._domain.plugged
    assert attributes(attached) == attributes(detached)


def test_two_disks_keep_their_own_sockets(volume_driver, define, tmp_path):
    disks = ""
    for name, dev in (("volume-1", "vda"), ("volume-2", "vdb")):
        conf = volume_driver.get_config(connection(name, tmp_path / name), {**DISK_INFO, "dev": dev})
        disks += conf.to_xml()
    sockets = [getattr(disk, nova_disk.SOCKET) for disk in define(disks).get_all_disks()]
    assert sockets == [f"{tmp_path}/volume-1/nbd.sock", f"{tmp_path}/volume-2/nbd.sock"]


def test_other_disks_are_as_ever(volume_driver, define):
    """The same text as before the class was changed."""
    stock = subprocess.run(
        [sys.executable, "-c",
         "import sys; from nova.virt.libvirt import config;"
         "d = config.LibvirtConfigGuestDisk(); d.parse_str(sys.stdin.read()); print(d.to_xml(), end='')"],
        input=RBD, capture_output=True, text=True, check=True, timeout=120,
    ).stdout
    disk = vconfig.LibvirtConfigGuestDisk()
    disk.parse_str(RBD)
    assert disk.to_xml() == stock
    assert disk.source_hosts == ["192.0.2.1", "192.0.2.2"]


def test_a_disk_that_is_no_network_disk_keeps_its_policies():
    xml = "<disk type='file' device='disk'><driver name='qemu' error_policy='enospace'/><source file='/x'/><target dev='a' bus='ide'/></disk>"
    disk = vconfig.LibvirtConfigGuestDisk()
    disk.parse_str(xml)
    assert dict(etree.fromstring(disk.to_xml()).find("driver").attrib) == {"name": "qemu", "error_policy": "enospace"}


def test_a_new_disk_of_nova_has_nothing_of_ours():
    disk = vconfig.LibvirtConfigGuestDisk()
    disk.source_type, disk.source_path, disk.target_dev, disk.target_bus = "file", "/x", "vda", "virtio"
    assert "vmferry" not in disk.to_xml() and "policy" not in disk.to_xml()


# ---- live migration


def test_the_destination_gets_the_volume_with_its_own_connection(volume_driver, connection_info, instance, define, tmp_path):
    source = define(disk_xml(volume_driver, connection_info))
    there = connection("volume-1", tmp_path / "there")
    bdm = objects.LibvirtLiveMigrateBDMInfo(
        serial=there["serial"], connection_info=there, bus="virtio", dev="vda", type="disk"
    )
    data = objects.LibvirtLiveMigrateData(bdms=[bdm])

    def config(instance, connection_info, disk_info):
        return volume_driver.get_config(connection_info, disk_info)

    document = etree.fromstring(source._domain.XMLDesc())
    moved = migration._update_volume_xml(document, data, instance, config)
    host = moved.find("devices/disk/source/host")
    assert dict(host.attrib) == {"transport": "unix", "socket": f"{tmp_path}/there/nbd.sock"}
    assert moved.find("devices/disk/driver").get("error_policy") == "stop"


def test_nova_copies_no_block_of_it(compute_driver, volume_driver, connection_info, define):
    guest = define(disk_xml(volume_driver, connection_info))
    config = vconfig.LibvirtConfigGuest()
    config.parse_dom(etree.fromstring(guest._domain.XMLDesc()))
    block_device_info = {"block_device_mapping": [{"connection_info": connection_info, "mount_device": "vda"}]}
    assert compute_driver._get_instance_disk_info_from_config(config, block_device_info) == []


# ---- connect and disconnect


def connect(compute_driver, connection_info, instance):
    compute_driver._connect_volume(None, connection_info, instance, encryption={})


def test_a_volume_that_can_be_served_here_is_connected(compute_driver, connection_info, instance, agent):
    agent.create({"name": "volume-1", "size": 1})
    connect(compute_driver, connection_info, instance)
    assert agent.calls == ["GET /v1/volumes/volume-1/readiness"]


def test_a_volume_that_can_not_is_refused_with_the_reason(compute_driver, connection_info, instance, agent):
    agent.not_servable["volume-1"] = "node host-b has 3 MiB free for volumes and 900 MiB are needed"
    with pytest.raises(exception.VolumeAttachFailed) as refused:
        connect(compute_driver, connection_info, instance)
    assert str(refused.value) == (
        f"Volume {connection_info['serial']} could not be attached. Reason: vmferry: "
        "node host-b has 3 MiB free for volumes and 900 MiB are needed"
    )


def test_no_agent_no_connection(compute_driver, connection_info, instance):
    with pytest.raises(exception.VolumeAttachFailed, match="agent does not answer on .*agent.sock.*systemctl start vmferry-agent"):
        connect(compute_driver, connection_info, instance)


def test_disconnect_asks_nobody_and_may_come_at_any_time(compute_driver, volume_driver, connection_info, instance, agent):
    """Twice, forced, for a volume that was never connected here, and while a peer may still fetch from here."""
    volume_driver.disconnect_volume(connection_info, instance)
    volume_driver.disconnect_volume(connection_info, instance, force=True)
    volume_driver.disconnect_volume(connection("volume-of-another-host", "/nowhere"), instance, force=True)
    assert agent.calls == []


def test_connecting_changes_nothing(compute_driver, connection_info, instance, agent):
    agent.create({"name": "volume-1", "size": 1})
    for _ in range(2):
        connect(compute_driver, connection_info, instance)
    assert agent.standbys == {} and list(agent.volumes) == ["volume-1"]


def test_a_running_server_can_not_see_a_new_size(compute_driver, connection_info, instance):
    with pytest.raises(exception.ExtendVolumeNotSupported):
        compute_driver.extend_volume(None, connection_info, instance, 2 << 30)


