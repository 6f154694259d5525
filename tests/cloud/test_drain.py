# SPDX-License-Identifier: Apache-2.0
"""`vmferry openstack`: servers and blocks listed, one server moved with the true result, a host emptied."""

from cloud.cloud import volume_name
from cloud.login import vmferry_command

DRAIN_TIMEOUT = 400  # seconds


def vmferry(cloud, *arguments, **options):
    return cloud.a.run(vmferry_command("openstack", *arguments), timeout=DRAIN_TIMEOUT, **options)


def test_a_host_with_three_servers_is_emptied(cloud):
    servers = [cloud.start_server(rate="300") for _ in range(3)]
    listed = vmferry(cloud, "list").stdout
    assert all(server.title in listed and volume_name(server.disks[0]) in listed for server in servers)

    said = vmferry(cloud, "drain", "hosta", "--to", "hostb", "--parallel", "2").stdout
    assert "hosta can be switched off" in said
    for server in servers:
        assert server.node is cloud.b
    assert cloud.product.a.relay.get("/v1/status")["volumes"] == []
    for server in servers:
        cloud.assert_moved(server, cloud.a, cloud.b)


def test_a_refused_migration_is_a_failure_with_its_reason(cloud):
    server = cloud.start_server()
    cloud.product.b.kill("relay")
    result = vmferry(cloud, "migrate", server.title, "--to", "hostb", "--wait", check=False)
    assert result.returncode == 1
    assert "vmferry: " in result.stderr and "vmferry-relay" in result.stderr
    cloud.product.b.start("relay")
    assert "runs on hostb" in vmferry(cloud, "migrate", server.title, "--to", "hostb", "--wait").stdout
    cloud.assert_moved(server, cloud.a, cloud.b)
