# SPDX-License-Identifier: Apache-2.0
"""The Cinder driver against Cinder's real base classes, objects and image code."""

import inspect
from pathlib import Path

import pytest
from cinder import exception
from cinder.image import image_utils
from cinder.interface import volume_driver
from cinder.volume import driver as cinder_driver
from oslo_concurrency.processutils import ProcessExecutionError
from oslo_config import cfg

from vmferry_openstack import cinder_driver as under_test
from vmferry_openstack.cinder_driver import VmferryVolumeDriver

GIB = 1 << 30


# ---- as Cinder sees it


def test_is_a_driver_of_cinder_with_all_that_it_requires():
    assert issubclass(VmferryVolumeDriver, cinder_driver.VolumeDriver)
    core = [name for name, member in inspect.getmembers(volume_driver.VolumeDriverCore, inspect.isfunction)]
    assert len(core) > 12
    for name in core:
        wanted = list(inspect.signature(getattr(volume_driver.VolumeDriverCore, name)).parameters)
        there = list(inspect.signature(getattr(VmferryVolumeDriver, name)).parameters)
        assert there[: len(wanted)] == wanted or name in ("extend_volume",), name


def test_nothing_is_left_that_cinder_would_do_by_attaching_the_volume_to_itself():
    """The base class's ways go through os-brick, which knows no `nbd`."""
    for name in ("copy_image_to_volume", "copy_image_to_encrypted_volume", "copy_volume_to_image", "create_snapshot"):
        assert getattr(VmferryVolumeDriver, name) is not getattr(cinder_driver.VolumeDriver, name), name


def test_does_not_start_without_relay(driver, relay):
    relay.fail("GET /v1/status", "UNAVAILABLE", "not today")
    with pytest.raises(exception.VolumeBackendAPIException, match="the backend can't start: not today"):
        driver.check_for_setup_error()


# ---- volumes


def test_creates_a_volume_of_gigabytes(driver, relay, new_volume):
    volume = new_volume(size=3)
    driver.create_volume(volume)
    assert relay.volumes[f"volume-{volume.id}"].size == 3 * GIB


def test_a_refused_creation_names_volume_and_reason(driver, relay, new_volume):
    relay.fail("POST /v1/volumes", "NO_SPACE", "node-a is full; free some")
    volume = new_volume()
    with pytest.raises(exception.VolumeBackendAPIException, match=f"{volume.name} was not made: node-a is full; free some"):
        driver.create_volume(volume)


@pytest.mark.parametrize("values, reason", [
    ({"encryption_key_id": "11111111-2222-3333-4444-555555555555"}, "can't be encrypted by Cinder: choose a volume type"),
    ({"multiattach": True}, "one writer per volume; choose a volume type without multiattach"),
])
def test_what_is_not_supported_is_refused_before_anything_is_made(driver, relay, new_volume, new_snapshot, values, reason):
    source = new_volume()
    makers = (
        driver.create_volume,
        lambda volume: driver.create_cloned_volume(volume, source),
        lambda volume: driver.create_volume_from_snapshot(volume, new_snapshot(source)),
    )
    for make in makers:
        with pytest.raises(exception.VolumeDriverException, match=reason):
            make(new_volume(**values))
    assert relay.calls == []


def test_deletes_wherever_the_volume_is(driver, relay, new_volume):
    volume = new_volume()
    driver.create_volume(volume)
    relay.own_elsewhere(volume.name)
    driver.delete_volume(volume)
    assert relay.volumes == {}


def test_deleting_twice_is_no_error(driver, new_volume):
    driver.delete_volume(new_volume())


def test_deleting_what_is_in_use_leaves_cinder_its_volume(driver, relay, new_volume):
    volume = new_volume()
    driver.create_volume(volume)
    relay.volumes[volume.name].clients = 1
    with pytest.raises(exception.VolumeIsBusy, match="was not deleted: .* is open"):
        driver.delete_volume(volume)
    assert volume.name in relay.volumes


def test_an_unreachable_owner_is_not_a_deleted_volume(driver, relay, new_volume):
    relay.fail("DELETE", "OWNER_UNREACHABLE", "no answer from node-b")
    with pytest.raises(exception.VolumeBackendAPIException, match="was not deleted: no answer from node-b"):
        driver.delete_volume(new_volume())


def test_extends(driver, relay, new_volume):
    volume = new_volume(size=1)
    driver.create_volume(volume)
    relay.own_elsewhere(volume.name)
    driver.extend_volume(volume, 5)
    assert relay.volumes[volume.name].size == 5 * GIB


def test_an_extension_waits_until_the_disk_has_followed(driver, relay, new_volume, monkeypatch):
    volume = new_volume()
    driver.create_volume(volume)
    relay.volumes[volume.name].state = "FETCHING"
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            relay.volumes[volume.name].state = "SERVING"

    monkeypatch.setattr(under_test.time, "sleep", sleep)
    driver.extend_volume(volume, 2)
    assert relay.volumes[volume.name].size == 2 * GIB
    assert len(looks) == 3


def test_an_extension_does_not_wait_for_ever(driver, relay, new_volume):
    cfg.CONF.set_override("vmferry_fetch_timeout", 0, group="vmferry")
    volume = new_volume()
    driver.create_volume(volume)
    relay.volumes[volume.name].state = "FETCHING"
    with pytest.raises(exception.VolumeBackendAPIException, match="still copied from node-c; try again when it is complete"):
        driver.extend_volume(volume, 2)


# ---- snapshots and clones


@pytest.fixture
def written(driver, relay, new_volume):
    volume = new_volume(size=2)
    driver.create_volume(volume)
    relay.volumes[volume.name].write(b"what the server wrote")
    return volume


def test_a_snapshot_is_a_copy_of_its_own(driver, relay, written, new_snapshot):
    snapshot = new_snapshot(written)
    driver.create_snapshot(snapshot)
    relay.volumes[written.name].write(b"something else")
    copy = relay.volumes[f"snapshot-{snapshot.id}"]
    assert (copy.content, copy.size) == (b"what the server wrote", 2 * GIB)


def test_a_copy_flushes_what_it_writes(driver, qemu_img, written, new_snapshot):
    driver.create_snapshot(new_snapshot(written))
    [command] = qemu_img.commands
    assert command[command.index("-t") + 1] == "writeback"


def test_a_volume_from_a_snapshot_may_be_larger(driver, relay, written, new_snapshot, new_volume):
    snapshot = new_snapshot(written)
    driver.create_snapshot(snapshot)
    volume = new_volume(size=7)
    driver.create_volume_from_snapshot(volume, snapshot)
    made = relay.volumes[volume.name]
    assert (made.content, made.size) == (b"what the server wrote", 7 * GIB)


def test_a_clone(driver, relay, written, new_volume):
    volume = new_volume(size=2)
    driver.create_cloned_volume(volume, written)
    assert relay.volumes[volume.name].content == b"what the server wrote"


def test_a_volume_larger_than_cinder_knows_is_copied_whole(driver, relay, written, new_volume):
    relay.volumes[written.name].size = 3 * GIB
    clone = new_volume(size=2)
    driver.create_cloned_volume(clone, written)
    assert relay.volumes[clone.name].size == 3 * GIB


def test_what_another_node_owns_is_attached_for_the_copy_only(driver, relay, qemu_img, written, new_snapshot):
    relay.own_elsewhere(written.name)
    snapshot = new_snapshot(written)
    driver.create_snapshot(snapshot)
    assert relay.volumes[snapshot.name].content == b"what the server wrote"
    assert qemu_img.standbys == [[written.name]]
    assert relay.standbys == {}


def test_what_is_owned_here_is_not_attached(driver, relay, written, new_snapshot):
    driver.create_snapshot(new_snapshot(written))
    assert not any("standbys" in call for call in relay.calls)


def test_a_standby_that_can_not_be_dropped_does_not_spoil_the_copy(driver, relay, written, new_snapshot):
    relay.own_elsewhere(written.name)
    relay.fail("DELETE /v1/standbys", "IN_USE", "still open")
    snapshot = new_snapshot(written)
    driver.create_snapshot(snapshot)
    assert snapshot.name in relay.volumes


def test_a_volume_in_use_is_not_copied(driver, relay, written, new_snapshot):
    relay.volumes[written.name].clients = 1
    with pytest.raises(exception.VolumeBackendAPIException, match="is in use; stop the server"):
        driver.create_snapshot(new_snapshot(written))
    assert list(relay.volumes) == [written.name]


def test_a_copy_of_what_was_written_meanwhile_is_thrown_away(driver, relay, qemu_img, written, new_snapshot):
    qemu_img.during = lambda: relay.volumes[written.name].write(b"torn")
    with pytest.raises(exception.VolumeBackendAPIException, match="was written to while it was copied; stop the server"):
        driver.create_snapshot(new_snapshot(written))
    assert list(relay.volumes) == [written.name]


def test_a_copy_of_what_changed_its_owner_meanwhile_is_thrown_away(driver, relay, qemu_img, written, new_volume):
    qemu_img.during = lambda: relay.own_elsewhere(written.name)
    with pytest.raises(exception.VolumeBackendAPIException, match="was written to while it was copied"):
        driver.create_cloned_volume(new_volume(size=2), written)
    assert list(relay.volumes) == [written.name]


def test_a_failed_copy_leaves_nothing(driver, relay, qemu_img, written, new_snapshot):
    relay.own_elsewhere(written.name)
    qemu_img.error = ProcessExecutionError(stderr="qemu-img: No space left on device")
    with pytest.raises(ProcessExecutionError):
        driver.create_snapshot(new_snapshot(written))
    assert list(relay.volumes) == [written.name]
    assert relay.standbys == {}


def test_deletes_a_snapshot(driver, relay, written, new_snapshot):
    snapshot = new_snapshot(written)
    driver.create_snapshot(snapshot)
    driver.delete_snapshot(snapshot)
    driver.delete_snapshot(snapshot)
    assert list(relay.volumes) == [written.name]


def test_a_snapshot_in_use_is_busy(driver, relay, written, new_snapshot):
    snapshot = new_snapshot(written)
    driver.create_snapshot(snapshot)
    relay.volumes[snapshot.name].clients = 1
    with pytest.raises(exception.SnapshotIsBusy):
        driver.delete_snapshot(snapshot)


# ---- images


class Glance:
    """An image service that has one image, and keeps what is uploaded."""

    def __init__(self, content, disk_format="raw"):
        self.content = content
        self.meta = {"id": "image-1", "disk_format": disk_format, "container_format": "bare", "size": len(content)}
        self.uploaded = None
        self.temp_images = None

    def show(self, context, image_id):
        return self.meta

    def get_location(self, context, image_id):
        return None, None

    def download(self, context, image_id, data=None):
        data.write(self.content)

    def update(self, context, image_id, meta, data=None, **options):
        self.uploaded = data.read()


IMAGE = bytes(range(256)) * 4096


def test_an_image_becomes_a_volume(driver, relay, context, new_volume, tmp_path):
    volume = new_volume(size=1)
    driver.create_volume(volume)
    driver.copy_image_to_volume(context, volume, Glance(IMAGE), "image-1")
    assert relay.volumes[volume.name].content == IMAGE
    assert list(tmp_path.glob("vmferry_*")) == []


def test_an_image_that_is_too_large_is_refused(driver, relay, context, new_volume, monkeypatch):
    volume = new_volume(size=1)
    driver.create_volume(volume)
    monkeypatch.setattr(image_utils, "check_virtual_size", _too_big)
    with pytest.raises(exception.ImageUnacceptable):
        driver.copy_image_to_volume(context, volume, Glance(IMAGE), "image-1")
    assert relay.volumes[volume.name].content == b""


def _too_big(virtual_size, size, image_id):
    assert (virtual_size, size) == (len(IMAGE), 1)
    raise exception.ImageUnacceptable(image_id=image_id, reason="too big")


def test_a_second_image_replaces_the_first(driver, relay, context, new_volume):
    volume = new_volume(size=1)
    driver.create_volume(volume)
    relay.volumes[volume.name].size = 2 * GIB
    relay.volumes[volume.name].write(b"x" * 2 * len(IMAGE))
    driver.copy_image_to_volume(context, volume, Glance(IMAGE), "image-1")
    assert (relay.volumes[volume.name].content, relay.volumes[volume.name].size) == (IMAGE, 2 * GIB)


def test_no_image_into_a_volume_in_use(driver, relay, context, written):
    relay.volumes[written.name].clients = 1
    with pytest.raises(exception.VolumeBackendAPIException, match="is in use; stop the server"):
        driver.copy_image_to_volume(context, written, Glance(IMAGE), "image-1")
    assert relay.volumes[written.name].content == b"what the server wrote"


def test_a_volume_becomes_an_image(driver, relay, context, written, tmp_path):
    relay.volumes[written.name].write(IMAGE)
    relay.own_elsewhere(written.name)
    glance = Glance(b"")
    driver.copy_volume_to_image(context, written, glance, glance.meta)
    assert glance.uploaded == IMAGE
    assert relay.standbys == {}
    assert list(tmp_path.glob("vmferry_*")) == []


def test_no_image_of_a_volume_that_is_being_written(driver, relay, qemu_img, context, written):
    qemu_img.during = lambda: relay.volumes[written.name].write(b"torn")
    glance = Glance(b"")
    with pytest.raises(exception.VolumeBackendAPIException, match="was written to while it was copied"):
        driver.copy_volume_to_image(context, written, glance, glance.meta)
    assert glance.uploaded is None


# ---- connections


def test_the_connection_is_the_same_on_every_host(driver, new_volume):
    volume = new_volume()
    a = driver.initialize_connection(volume, {"host": "host-a"})
    assert a == driver.initialize_connection(volume, {"host": "host-b"})
    assert a["driver_volume_type"] == "nbd"
    assert a["data"]["name"] == volume.name
    assert a["data"]["socket"] == "/run/vmferry/nbd.sock"


def test_connections_never_fail_because_of_vmferry(driver, relay, context, new_volume):
    """A refusal for the destination of a live migration would leave an attachment that nobody removes."""
    volume, connector = new_volume(), {"host": "host-b"}
    for _ in range(2):
        driver.create_export(context, volume, connector)
        driver.initialize_connection(volume, connector)
        driver.terminate_connection(volume, connector, force=True)
        driver.remove_export(context, volume)
        driver.ensure_export(context, volume)
    assert relay.calls == []


# ---- statistics


def test_statistics_are_of_what_this_node_owns(driver, relay, written, new_volume):
    elsewhere = new_volume(size=9)
    driver.create_volume(elsewhere)
    relay.own_elsewhere(elsewhere.name)
    cfg.CONF.set_override("reserved_percentage", 5, group="vmferry")
    stats = driver.get_volume_stats(refresh=True)
    assert (stats["total_capacity_gb"], stats["free_capacity_gb"]) == (100, 40)
    assert stats["provisioned_capacity_gb"] == 2
    assert stats["reserved_percentage"] == 5
    assert stats["thin_provisioning_support"] is True and stats["multiattach"] is False
    assert stats["storage_protocol"] == "nbd"


def test_statistics_that_are_not_known_are_not_made_up(driver, relay):
    relay.fail("GET /v1/capacity", "UNAVAILABLE", "the relay is down")
    with pytest.raises(exception.VolumeBackendAPIException, match="the relay is down"):
        driver.get_volume_stats(refresh=True)


def test_its_files_carry_the_licence():
    package = Path(under_test.__file__).parent
    assert all(file.read_text().startswith("# SPDX-License-Identifier: Apache-2.0") for file in package.glob("*.py"))
