# SPDX-License-Identifier: Apache-2.0
"""A live migration that can't be: the server goes on where it is, its events say why, nothing stays reserved."""

import pytest

from cloud.cloud import volume_name


def refused(cloud, server, destination):
    """Asks for the migration, which must fail, and returns the reason in the server's events."""
    server.begin_migration(destination)
    assert server.end_migration() in ("failed", "error")
    assert server.node is cloud.a
    cloud.assert_nothing_reserved(server)
    return server.reason()


def assert_goes(cloud, server):
    """Once the reason is gone, so is the refusal."""
    server.live_migrate(cloud.b)
    cloud.assert_moved(server, cloud.a, cloud.b)


def test_relay_at_the_destination_is_down(cloud):
    server = cloud.start_server(disks=2)
    cloud.product.b.kill("relay")
    reason = refused(cloud, server, cloud.b)
    assert "vmferry: " in reason and "vmferry-relay" in reason, reason
    cloud.assert_intact(server, cloud.a)
    cloud.product.b.start("relay")
    assert_goes(cloud, server)


def test_agent_at_the_destination_is_down(cloud):
    server = cloud.start_server()
    cloud.product.b.kill("agent")
    reason = refused(cloud, server, cloud.b)
    assert "the vmferry agent does not answer on /run/vmferry/agent.sock" in reason, reason
    cloud.assert_intact(server, cloud.a)
    cloud.product.b.start("agent")
    assert_goes(cloud, server)


@pytest.fixture
def little_space_at_b(cloud):
    """Also when the test has failed, a full folder must not stay."""
    folder = "/var/lib/vmferry/volumes"
    cloud.b.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder])
    mounted = [True]

    def more():
        if mounted:
            cloud.b.run(["umount", "--lazy", folder])
            mounted.clear()

    yield more
    more()


def test_too_little_space_at_the_destination(cloud, little_space_at_b):
    server = cloud.start_server()
    reason = refused(cloud, server, cloud.b)
    assert "vmferry: " in reason and "MiB free for volumes" in reason, reason
    assert cloud.volume(cloud.b, volume_name(server.disks[0])) is None
    cloud.assert_intact(server, cloud.a)
    little_space_at_b()
    assert_goes(cloud, server)
