# SPDX-License-Identifier: Apache-2.0
"""A live migration that can't be: the server goes on where it is, its events say why, nothing stays reserved."""

import contextlib

import pytest

from cloud.cloud import volume_name


@pytest.fixture
def server(cloud):
    return cloud.lend(disks=2)


def refused(cloud, server):
    """Asks for the migration, which must fail and leave nothing; returns the reason in the server's events."""
    source, destination = cloud.ways(server)
    server.begin_migration(destination)
    assert server.end_migration() in ("failed", "error")
    assert server.node is source
    cloud.assert_nothing_reserved(server)
    if cloud.product.node(destination).running("relay"):
        assert all(cloud.volume(destination, volume_name(volume)) is None for volume in server.disks)
    cloud.assert_intact(server, source)
    return server.reason()


def assert_goes(cloud, server):
    """Once the reason is gone, so is the refusal."""
    source, destination = cloud.ways(server)
    server.live_migrate(destination)
    cloud.assert_moved(server, source, destination)


def test_relay_at_the_destination_is_down(cloud, server):
    _, destination = cloud.ways(server)
    cloud.product.node(destination).kill("relay")
    reason = refused(cloud, server)
    assert "vmferry: " in reason and "vmferry-relay" in reason, reason
    cloud.product.node(destination).start("relay")
    assert_goes(cloud, server)


def test_agent_at_the_destination_is_down(cloud, server):
    _, destination = cloud.ways(server)
    cloud.product.node(destination).kill("agent")
    reason = refused(cloud, server)
    assert "the vmferry agent does not answer on /run/vmferry/agent.sock" in reason, reason
    cloud.product.node(destination).start("agent")
    assert_goes(cloud, server)


@pytest.fixture
def make_room(cloud, server):
    """Little space for volumes on the host that the server is not on, until this is called or the test has ended."""
    folder = "/var/lib/vmferry/volumes"
    _, host = cloud.ways(server)
    host.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder])
    with contextlib.ExitStack() as mounted:
        mounted.callback(host.run, ["umount", "--lazy", folder])
        yield mounted.close


def test_too_little_space_at_the_destination(cloud, server, make_room):
    reason = refused(cloud, server)
    assert "vmferry: " in reason and "MiB free for volumes" in reason, reason
    make_room()
    assert_goes(cloud, server)
