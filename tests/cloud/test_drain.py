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
    for server in servers:
        cloud.assert_moved(server, cloud.a, cloud.b)
    assert cloud.product.a.relay.get("/v1/status")["volumes"] == []


def test_an_application_credential_is_a_login(cloud):
    server = cloud.start_server(rate="300")
    credential = cloud.api.make_application_credential("vmferry")
    login = {
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_APPLICATION_CREDENTIAL_ID": credential["id"],
        "OS_APPLICATION_CREDENTIAL_SECRET": credential["secret"],
    }
    listed = cloud.a.run(vmferry_command("openstack", "list", **login), timeout=DRAIN_TIMEOUT).stdout
    assert server.title in listed and volume_name(server.disks[0]) in listed


def test_a_refusal_is_a_failure_with_its_reason_and_a_drain_goes_on_after_it(cloud):
    server = cloud.start_server(rate="300")
    cloud.product.b.kill("relay")
    refused = vmferry(cloud, "migrate", server.title, "--to", "hostb", "--wait", check=False)
    assert refused.returncode == 1
    assert "vmferry: " in refused.stderr and "vmferry-relay" in refused.stderr
    drained = vmferry(cloud, "drain", "hosta", "--to", "hostb", check=False)
    assert drained.returncode == 1
    assert "vmferry-relay" in drained.stderr and "hosta is not empty" in drained.stderr
    assert server.node is cloud.a

    cloud.product.b.start("relay")
    assert "hosta can be switched off" in vmferry(cloud, "drain", "hosta", "--to", "hostb").stdout
    cloud.assert_moved(server, cloud.a, cloud.b)
    assert "is on hostb already" in vmferry(cloud, "migrate", server.title, "--to", "hostb", "--wait").stdout
