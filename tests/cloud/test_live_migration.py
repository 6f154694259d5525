# SPDX-License-Identifier: Apache-2.0
"""What the product is for: Nova moves a running server, and its volumes follow."""

import json

import pytest
from lab.waiting import wait_for

from cloud.cloud import volume_name
from cloud.login import openstack_command

MEMORY_TIMEOUT = 120  # seconds until the first of a server's memory is sent

# Mbit/s: a migration takes half a minute, and something can be done to it.
SLOW_LINK = 12


@pytest.fixture
def under_way(cloud):
    """A server with two volumes whose memory is being copied to the second host, and what Nova says of that."""
    server = cloud.start_server(disks=2, rate="300")
    cloud.wan.set(rate_mbit=SLOW_LINK)
    server.begin_migration(cloud.b)
    progress = wait_for(
        lambda: (now := server.progress()) and now["memory_processed_bytes"] and now,
        MEMORY_TIMEOUT, f"the memory of {server.title} is copied", 0.3,
    )  # fmt: skip
    return server, progress


def openstack(cloud, *arguments):
    """What the real command line prints, as a user types it."""
    return cloud.controller.run(openstack_command(*arguments), timeout=300).stdout


def test_there_and_back_by_the_command_line_and_then_without_the_source(cloud):
    server = cloud.start_server()
    for source, destination in ((cloud.a, cloud.b), (cloud.b, cloud.a), (cloud.a, cloud.b)):
        openstack(cloud, "server", "migrate", "--live-migration", "--host", destination.name, "--wait", server.id)
        assert server.end_migration() == "completed", server.reason()
        cloud.assert_moved(server, source, destination)
    shown = json.loads(openstack(cloud, "server", "show", "-f", "json", server.id))
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "hostb")

    # Nothing of the server needs the first host any more: neither its processes nor the link.
    cloud.wan.cut()
    for name in ("agent", "relay"):
        cloud.product.a.kill(name)
    cloud.assert_intact(server, cloud.b)


def test_nova_copies_no_block(cloud, under_way):
    """By Nova's own account, and by QEMU's: without migrate_disks there is no job that copies a disk."""
    server, progress = under_way
    assert [progress[f"disk_{part}_bytes"] for part in ("total", "processed", "remaining")] == [0, 0, 0]
    jobs = cloud.a.virsh("qemu-monitor-command", server.name, '{"execute":"query-block-jobs"}')
    assert json.loads(jobs)["return"] == []
    cloud.wan.set(rate_mbit=0)
    assert server.end_migration() == "completed", server.reason()
    cloud.assert_moved(server, cloud.a, cloud.b)


def test_abort_while_memory_is_copied(cloud, under_way):
    server, _ = under_way
    server.abort_migration()
    assert server.end_migration() == "cancelled"
    assert server.node is cloud.a
    cloud.wan.set(rate_mbit=0)
    cloud.assert_nothing_reserved(server)
    cloud.assert_intact(server, cloud.a)
    for volume in server.disks:
        cloud.await_gone(cloud.b, volume_name(volume))
    server.live_migrate(cloud.b)
    cloud.assert_moved(server, cloud.a, cloud.b)


def test_force_complete_is_post_copy_of_memory_and_disk(cloud, under_way):
    server, _ = under_way
    server.force_complete()
    assert server.end_migration() == "completed", server.reason()
    events = (cloud.b.logs / "events.log").read_text().splitlines()
    assert [line for line in events if server.name in line and "Post-copy" in line], events
    cloud.wan.set(rate_mbit=0)
    cloud.assert_moved(server, cloud.a, cloud.b)


def test_nova_compute_and_agent_are_restarted_while_blocks_are_fetched(cloud):
    server = cloud.start_server()
    cloud.crawl(cloud.b)
    server.live_migrate(cloud.b)
    for host in (cloud.a, cloud.b):
        cloud.product.node(host).kill("agent")
        cloud.crash_nova(host)
        cloud.product.node(host).start("agent")
    assert cloud.volume(cloud.b, volume_name(server.disks[0]))["state"] == "FETCHING"
    cloud.hurry(cloud.b)
    cloud.assert_moved(server, cloud.a, cloud.b)
    server.live_migrate(cloud.a)
    cloud.assert_moved(server, cloud.b, cloud.a)
