# SPDX-License-Identifier: Apache-2.0
"""What users do with servers and volumes, before and after these have moved."""

from lab import stamp
from lab.cluster import MIB
from lab.verify import verify
from lab.vm import NBD_SOCKET

from cloud.cloud import volume_name
from cloud.server import guest_name


def test_volumes_are_plugged_and_unplugged_before_and_after(cloud):
    server = cloud.lend()
    source, destination = cloud.ways(server)
    first, second = cloud.create_volume(), cloud.create_volume()
    server.attach(first)
    server.attach(second)
    server.detach_last()
    server.live_migrate(destination)
    cloud.assert_moved(server, source, destination)  # the root disk and the first
    server.detach_last()
    assert cloud.attachments(first) == []
    server.attach(second)  # it was never there
    cloud.await_state(destination, volume_name(second), "SERVING")
    cloud.assert_intact(server, destination)
    server.live_migrate(source)
    cloud.assert_moved(server, destination, source)
    server.detach_last()


def test_hard_reboot_stop_and_start_after_it_has_moved(cloud):
    server = cloud.lend()
    source, destination = cloud.ways(server)
    server.live_migrate(destination)
    cloud.assert_moved(server, source, destination)
    server.act("reboot", {"type": "HARD"})
    server.await_status()
    server.await_load()
    assert server.node is destination
    cloud.assert_intact(server, destination)

    sums = server.sum(destination)
    server.act("os-stop")
    server.await_status("SHUTOFF")
    [root] = server.disks
    assert cloud.verify(root, destination).digest == sums[guest_name(root)]
    server.act("os-start")
    server.await_status()
    server.await_load()
    cloud.assert_intact(server, destination)
    server.live_migrate(source)
    cloud.assert_moved(server, destination, source)


def test_extend_and_snapshot_of_a_volume_that_has_moved(cloud):
    server = cloud.lend()
    source, destination = cloud.ways(server)
    data = cloud.create_volume()
    server.attach(data)
    server.live_migrate(destination)
    cloud.assert_moved(server, source, destination)
    server.detach_last()
    assert cloud.volume(destination, volume_name(data))["state"] == "SERVING"
    before = cloud.verify(data, destination)

    snapshot = cloud.create_snapshot(data)
    copy = cloud.create_volume(content=False, snapshot_id=snapshot)
    copied = verify_as(cloud, volume_name(copy), guest_name(data))
    assert (copied.broken, copied.digest) == (0, before.digest)

    cloud.extend_volume(data, 2)
    assert cloud.volume(destination, volume_name(data))["size"] == 2 << 30
    assert cloud.verify(data, destination).digest == before.digest
    server.attach(data)
    cloud.assert_intact(server, destination)
    server.live_migrate(source)
    cloud.assert_moved(server, destination, source)
    server.detach_last()


def test_extend_while_the_server_runs(cloud):
    server = cloud.lend()
    source, destination = cloud.ways(server)
    server.live_migrate(destination)
    cloud.assert_moved(server, source, destination)
    [root] = server.disks
    cloud.extend_volume(root, 2, "in-use")
    assert cloud.volume(destination, volume_name(root))["size"] == 2 << 30
    cloud.assert_intact(server, destination)
    server.live_migrate(source)
    cloud.assert_moved(server, destination, source)


def test_deleted_while_its_blocks_are_fetched(cloud):
    server = cloud.start_server(disks=2, rate="300")
    cloud.crawl(cloud.b)
    server.live_migrate(cloud.b)
    assert cloud.volume(cloud.b, volume_name(server.disks[0]))["state"] == "FETCHING"
    cloud.delete_server(server)
    for volume in server.disks:
        cloud.delete_volume(volume)
    for host in (cloud.a, cloud.b):
        for volume in server.disks:
            cloud.await_gone(host, volume_name(volume))


def test_volume_from_image_holds_its_content_and_so_does_its_clone(cloud):
    file = cloud.a.root / "run/lab/content.raw"
    stamp.prefill(file, "content", 8 * MIB)
    try:
        content = file.read_bytes()
    finally:
        file.unlink()
    image = cloud.upload_image("content", content)
    volume = cloud.create_volume(content=False, imageRef=image)
    clone = cloud.create_volume(content=False, source_volid=volume)
    verdicts = [verify_as(cloud, volume_name(each), "content", 8 * MIB) for each in (volume, clone)]
    assert [verdict.broken for verdict in verdicts] == [0, 0]
    assert verdicts[0].holes < verdicts[0].sectors and verdicts[0].digest == verdicts[1].digest


def test_config_drive_is_copied_by_nova_and_the_volumes_are_not(cloud):
    server = cloud.start_server(rate="300", config_drive=True)
    server.live_migrate(cloud.b)
    cloud.assert_moved(server, cloud.a, cloud.b)


def test_cold_migration_takes_the_volumes_along(cloud):
    """As a resize does: stopped here, started there. The volumes are taken over at the first write."""
    server = cloud.lend()
    source, destination = cloud.ways(server)
    server.act("migrate", {"host": destination.name})
    server.await_status("VERIFY_RESIZE")
    server.await_load()
    server.act("confirmResize")
    server.await_status()
    cloud.assert_moved(server, source, destination)


def verify_as(cloud, export, name, size=64 * MIB):
    """Reads a volume of the first host's, where new ones are made, as one whose content was made for another name."""
    path = cloud.a.root / NBD_SOCKET.lstrip("/")
    return verify(f"nbd+unix:///{export}?socket={path}", name, size)
