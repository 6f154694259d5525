# SPDX-License-Identifier: Apache-2.0
"""Cinder's driver with two real relays, real qemu-img and real NBD: both sides of the API mean the same, and everything
works from the Cinder node wherever a volume is."""

import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import pytest
from cinder import exception, objects, utils
from cinder.volume import configuration
from cinder.volume import driver as cinder_driver
from lab.local_relay import Authority, LocalRelay
from lab.installed import JAR
from oslo_config import cfg
from oslo_utils import importutils

from vmferry_openstack.control_api import ControlError

GIB = 1 << 30
PORTS = {"node-a": 17921, "node-b": 17922}

objects.register_all()


@pytest.fixture(scope="module")
def relays():
    assert JAR.exists(), f"{JAR} is not built: run mvn -B package -DskipTests"
    folder = Path(tempfile.mkdtemp(prefix="vmferry-os"))  # short: it holds Unix sockets
    try:
        (folder / "ca").mkdir()
        authority = Authority(folder / "ca")
        peers = {"node-a": {"node-b": PORTS["node-b"]}, "node-b": {"node-a": PORTS["node-a"]}}
        for name in PORTS:
            (folder / name).mkdir()
        with LocalRelay("node-a", folder / "node-a", authority, PORTS["node-a"], peers["node-a"]) as a, \
                LocalRelay("node-b", folder / "node-b", authority, PORTS["node-b"], peers["node-b"]) as b:
            yield a, b
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def driver(relays):
    """cinder-volume runs on node-a."""
    run = relays[0].folder / "run/vmferry"
    backend = configuration.Configuration(cinder_driver.volume_opts, config_group="vmferry")
    made = importutils.import_object(
        "vmferry_openstack.cinder_driver.VmferryVolumeDriver", configuration=backend, host="h@v", execute=utils.execute
    )
    cfg.CONF.set_override("vmferry_relay_socket", str(run / "relay.sock"), group="vmferry")
    cfg.CONF.set_override("vmferry_nbd_socket", str(run / "nbd.sock"), group="vmferry")
    made.do_setup(None)
    made.check_for_setup_error()
    return made


def new_volume(size=1):
    volume_type = objects.VolumeType(id=str(uuid.uuid4()), extra_specs={})
    return objects.Volume(
        id=str(uuid.uuid4()), size=size, volume_type=volume_type, _name_id=None, multiattach=False, encryption_key_id=None
    )


def qemu_io(relay, name, *commands):
    uri = f"nbd+unix:///{name}?socket={relay.socket}"
    arguments = [argument for command in commands for argument in ("-c", command)]
    result = subprocess.run(["qemu-io", "-f", "raw", *arguments, uri], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0 and "failed" not in result.stdout, result.stdout + result.stderr


def await_complete(driver, name, owner):
    """The owner holds every block, and has noticed that its client is gone."""
    deadline = time.monotonic() + 60
    while True:
        at = driver._relay.location(name)
        if (at["owner"], at["state"], at["clients"]) == (owner, "SERVING", 0):
            return at
        assert time.monotonic() < deadline, at
        time.sleep(0.1)


def test_a_volume_that_moved_is_extended_copied_and_deleted_from_the_cinder_node(driver, relays):
    a, b = relays
    volume = new_volume()
    driver.create_volume(volume)
    assert driver._relay.location(volume.name)["local"] is True
    qemu_io(a, volume.name, "write -P 1 0 1M", "flush")

    qemu_io(b, volume.name, "write -P 2 512M 1M", "flush")  # as a server on node-b does
    moved = await_complete(driver, volume.name, "node-b")
    assert moved["local"] is False and moved["origin"] is None and moved["missing"] == 0

    driver.extend_volume(volume, 2)
    assert driver._relay.location(volume.name)["size"] == 2 * GIB
    qemu_io(b, volume.name, "read -P 0 1536M 1M", "write -P 3 2047M 1M", "flush")
    await_complete(driver, volume.name, "node-b")

    snapshot = objects.Snapshot(id=str(uuid.uuid4()), volume=volume, volume_size=2)
    driver.create_snapshot(snapshot)
    clone = new_volume(size=3)
    driver.create_volume_from_snapshot(clone, snapshot)
    assert driver._relay.location(clone.name)["size"] == 3 * GIB
    qemu_io(a, clone.name, "read -P 1 0 1M", "read -P 2 512M 1M", "read -P 3 2047M 1M", "read -P 0 2560M 1M")
    await_complete(driver, clone.name, "node-a")
    assert await_complete(driver, volume.name, "node-b")["owner"] == "node-b", "copying it did not take it over"

    for each in (volume, clone):
        driver.delete_volume(each)
    driver.delete_snapshot(snapshot)
    with pytest.raises(ControlError) as gone:
        driver._relay.location(volume.name)
    assert gone.value.code == "NOT_FOUND"


def test_a_volume_in_use_elsewhere_is_neither_copied_nor_deleted(driver, relays):
    _, b = relays
    volume = new_volume()
    driver.create_volume(volume)
    uri = f"nbd+unix:///{volume.name}?socket={b.socket}"
    server = subprocess.Popen(["qemu-io", "-f", "raw", uri], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while driver._relay.location(volume.name)["clients"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        snapshot = objects.Snapshot(id=str(uuid.uuid4()), volume=volume, volume_size=1)
        with pytest.raises(exception.VolumeBackendAPIException, match="is in use; stop the server"):
            driver.create_snapshot(snapshot)
        with pytest.raises(exception.VolumeIsBusy, match="is open on node node-b"):
            driver.delete_volume(volume)
    finally:
        server.communicate()
    await_complete(driver, volume.name, "node-a")
    driver.delete_volume(volume)


def test_statistics_are_of_the_relays_disk(driver):
    volume = new_volume(size=5)
    driver.create_volume(volume)
    stats = driver.get_volume_stats(refresh=True)
    assert 0 < stats["free_capacity_gb"] <= stats["total_capacity_gb"]
    assert stats["provisioned_capacity_gb"] == 5
    driver.delete_volume(volume)
