# SPDX-License-Identifier: Apache-2.0
"""Migrations that can't work: one clear sentence for the person who typed it, the VM runs on, nothing is left behind."""

import re

import pytest

from lab.cluster import MIB
from lab.product import PEER_PORT

# virsh quotes the hook's standard error in a message of its own.
HOOK_SENTENCE = re.compile(r"unexpected exit status 1: (.*)")


def refused(cluster, vm, *options):
    """Tries to migrate; checks all but the sentence, and returns that."""
    with vm.migration(cluster.a, cluster.b, *options) as migration:
        output = migration.fail()
    [sentence] = HOOK_SENTENCE.findall(output)
    assert vm.state(cluster.a).startswith("running")
    assert vm.state(cluster.b) is None
    return sentence


def test_agent_down(cluster):
    vm = cluster.start_vm()
    cluster.product.b.stop("agent")
    assert refused(cluster, vm) == (
        "vmferry: the agent does not answer on /run/vmferry/agent.sock; start it with `systemctl start vmferry-agent`"
    )
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


def test_relay_down(cluster):
    vm = cluster.start_vm()
    cluster.product.b.stop("relay")
    sentence = refused(cluster, vm)
    assert re.match(rf"vmferry: domain {vm.name}: .*relay.*; .*", sentence), sentence
    cluster.product.b.start("relay")
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


def test_volume_that_no_node_has(cluster):
    vm = cluster.start_vm()
    [volume] = vm.volumes
    xml = cluster.a.virsh("dumpxml", "--migratable", vm.name).replace(f"name='{volume}'", "name='nowhere'")
    (cluster.a.root / "run/lab/other.xml").write_text(xml)
    assert refused(cluster, vm, "--xml", "/run/lab/other.xml") == (
        f"vmferry: domain {vm.name}: volume nowhere is owned by none of hosta; "
        "add the owner's node to the peers in vmferry.yaml, or create the volume"
    )
    assert cluster.product.b.relay.get("/v1/status")["volumes"] == []
    cluster.assert_intact(vm, cluster.a)


@pytest.fixture
def b_without_peers(cluster):
    def restart(peers):
        cluster.product.b.stop("relay")
        cluster.product.configure(cluster.product.b, peers)
        cluster.product.b.start("relay")

    restart(False)
    yield
    restart(True)


def test_destination_without_peers(cluster, b_without_peers):
    vm = cluster.start_vm()
    [volume] = vm.volumes
    assert refused(cluster, vm) == (
        f"vmferry: domain {vm.name}: volume {volume} is not on node hostb, which has no peers to ask; "
        "add them to vmferry.yaml"
    )
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


@pytest.fixture
def relay_port_blocked(cluster):
    """What a firewall does that drops the relay's packets to the source, and only those."""
    rule = ["priority", 1, "ipproto", "tcp", "dport", PEER_PORT, "blackhole"]
    cluster.b.run(["ip", "rule", "add", *rule])
    yield
    cluster.b.run(["ip", "rule", "del", *rule])


def test_owner_unreachable(cluster, relay_port_blocked):
    vm = cluster.start_vm()
    [volume] = vm.volumes
    sentence = refused(cluster, vm)
    assert re.fullmatch(
        rf"vmferry: domain {vm.name}: volume {volume} can't be reached from node hostb: no answer from "
        r"hosta \(.+\); check that relay and the way to it",
        sentence,
    ), sentence
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


@pytest.fixture
def little_space_at_b(cluster):
    cluster.b.run(["mount", "-t", "tmpfs", "-o", "size=8m,uid=vmferry,mode=700", "tmpfs", "/var/lib/vmferry/volumes"])
    yield
    cluster.b.run(["umount", "--lazy", "/var/lib/vmferry/volumes"])


def test_too_little_space(cluster, little_space_at_b):
    vm = cluster.start_vm()
    sentence = refused(cluster, vm)
    assert re.fullmatch(
        rf"vmferry: domain {vm.name}: node hostb has [78] MiB free for volumes and \d\d MiB are needed; "
        "free some or choose another node",
        sentence,
    ), sentence
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


def test_name_taken_by_another_volume(cluster):
    vm = cluster.start_vm()
    [volume] = vm.volumes
    cluster.product.b.relay.post("/v1/volumes", {"name": volume, "size": MIB})
    before = cluster.volume(cluster.b, volume)
    assert refused(cluster, vm) == (
        f"vmferry: domain {vm.name}: another volume named {volume} is already on node hostb; "
        "rename or delete one of the two"
    )
    assert cluster.volume(cluster.b, volume) == before
    cluster.assert_intact(vm, cluster.a)


def test_second_of_two_volumes_refused_leaves_nothing_of_the_first(cluster):
    vm = cluster.start_vm(disks=2)
    first, second = vm.volumes
    cluster.product.b.relay.post("/v1/volumes", {"name": second, "size": MIB})
    assert f"another volume named {second} is already on node hostb" in refused(cluster, vm)
    cluster.await_gone(cluster.b, first)
    cluster.assert_intact(vm, cluster.a)


def test_a_refused_migration_works_once_the_reason_is_gone(cluster):
    vm = cluster.start_vm()
    cluster.product.b.stop("agent")
    refused(cluster, vm)
    cluster.product.b.start("agent")
    vm.migrate(cluster.a, cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)
