# SPDX-License-Identifier: Apache-2.0
"""Something dies during the move: the guest sees no I/O error and no wrong byte, and the move ends well or not at all."""

import pytest

from lab.cluster import MIB
from lab.lab import RATE_MBIT
from lab.waiting import wait_for

SLOW_MBIT = 80
RESUME_TIMEOUT = 60  # seconds; QEMU connects again with a back-off of up to 16 s


def slow_memory(cluster):
    """The guest's memory takes seconds, enough to do something meanwhile."""
    cluster.wan.set(rate_mbit=SLOW_MBIT)


def start_fetching(cluster):
    """A VM that runs at the second host, its volume in fetch mode there until `cluster.hurry`.

    At its rate the guest itself would take a minute to touch every block.
    """
    vm = cluster.start_vm(rate=500, size=128 * MIB)
    cluster.crawl(cluster.b)
    vm.migrate(cluster.a, cluster.b)
    for volume in vm.volumes:
        cluster.await_state(cluster.b, volume, "FETCHING")
    return vm


# ---- before the takeover ----


def test_destination_qemu_killed_while_memory_is_copied(cluster):
    vm = cluster.start_vm(rate=2000)
    slow_memory(cluster)
    with vm.migration(cluster.a, cluster.b) as migration:
        migration.await_memory()
        assert cluster.volume(cluster.b, vm.volumes[0])["state"] == "STANDBY"
        vm.kill_qemu(cluster.b)
        migration.fail()
    assert vm.state(cluster.a).startswith("running")
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


def test_migration_cancelled(cluster):
    vm = cluster.start_vm(rate=2000)
    slow_memory(cluster)
    with vm.migration(cluster.a, cluster.b) as migration:
        migration.await_memory()
        cluster.a.virsh("domjobabort", vm.name)
        migration.fail()
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


def test_migration_cancelled_and_tried_again(cluster):
    vm = cluster.start_vm(rate=2000)
    slow_memory(cluster)
    with vm.migration(cluster.a, cluster.b) as migration:
        migration.await_memory()
        cluster.a.virsh("domjobabort", vm.name)
        migration.fail()
    cluster.wan.set(rate_mbit=RATE_MBIT)
    vm.migrate(cluster.a, cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


# ---- the agents ----


@pytest.mark.parametrize("ending, where", [("stop", "a"), ("stop", "b"), ("kill", "ab")])
def test_agent_gone_during_the_migration(cluster, ending, where):
    nodes = [getattr(cluster.product, letter) for letter in where]
    vm = cluster.start_vm(rate=2000)
    slow_memory(cluster)
    with vm.migration(cluster.a, cluster.b) as migration:
        migration.await_memory()
        for node in nodes:
            getattr(node, ending)("agent")
        cluster.wan.set(rate_mbit=RATE_MBIT)
        migration.succeed()
    for volume in vm.volumes:
        cluster.await_state(cluster.b, volume, "SERVING")  # without the agent
    for node in nodes:
        node.start("agent")
    cluster.assert_moved(vm, cluster.a, cluster.b)


# ---- the destination in fetch mode ----


def test_relay_killed_in_fetch_mode(cluster):
    vm = start_fetching(cluster)
    vm.await_stat(cluster.b, 2)  # acknowledged writes, most of them never flushed
    cluster.product.b.kill("relay")
    wait_for(lambda: vm.state(cluster.b) == "paused (I/O error)", 10, "the VM is paused by its lost disk")
    cluster.product.b.start("relay")
    cluster.crawl(cluster.b)
    await_running(vm, cluster.b)
    assert cluster.volume(cluster.b, vm.volumes[0])["state"] == "FETCHING"
    cluster.hurry(cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


def test_source_relay_killed_while_the_destination_fetches(cluster):
    vm = start_fetching(cluster)
    cluster.product.a.kill("relay")
    cluster.product.a.start("relay")
    cluster.hurry(cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


def test_link_cut_while_the_destination_fetches(cluster):
    vm = start_fetching(cluster)
    [volume] = vm.volumes
    cluster.wan.cut()
    wait_for(lambda: not cluster.volume(cluster.b, volume)["fetch"]["linkUp"], 60, "the loss is noticed")
    assert vm.state(cluster.b).startswith("running")  # it waits for blocks, it gets no errors
    cluster.wan.heal()
    cluster.hurry(cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


def test_libvirtd_restarted_at_the_destination_in_fetch_mode(cluster):
    vm = start_fetching(cluster)
    with vm.heartbeat(cluster.b) as heartbeat:
        cluster.b.libvirtd.stop()
        cluster.b.begin_libvirtd()
        cluster.b.await_libvirtd()
        vm.await_stat(cluster.b)
    assert heartbeat.longest_silence < 1  # the guest did not notice
    wait_for(lambda: cluster.product.b.agent.get("/v1/status")["libvirtUp"], 30, "the agent is connected again")
    cluster.hurry(cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


def test_agent_killed_at_the_destination_in_fetch_mode(cluster):
    vm = start_fetching(cluster)
    cluster.product.b.kill("agent")
    cluster.hurry(cluster.b)
    for volume in vm.volumes:
        cluster.await_state(cluster.b, volume, "SERVING")
    cluster.assert_moved(vm, cluster.a, cluster.b)


# ---- the same VM twice ----


def test_the_same_vm_started_on_the_other_host_hangs_and_harms_nothing(cluster):
    vm = cluster.start_vm(rate=500)
    [volume] = vm.volumes
    vm.start(cluster.b, cluster.a.virsh("dumpxml", "--migratable", vm.name))
    assert cluster.await_trouble(cluster.b, volume) == (
        f"volume {volume} is in use at its owner by domain {vm.name}; shut that down or migrate it"
    )
    vm.await_stat(cluster.b, 2)
    assert [stat["writes"] for stat in vm.lines(cluster.b, "stat")[-1:]] == ["0"]
    assert cluster.volume(cluster.b, volume)["state"] == "STANDBY"
    assert cluster.volume(cluster.a, volume)["state"] == "SERVING"
    vm.destroy(cluster.b)
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


def await_running(vm, host):
    """Waits until the VM runs on by itself and its load makes progress."""
    wait_for(lambda: vm.state(host).startswith("running"), RESUME_TIMEOUT, f"{vm.name} is resumed")
    wait_for(lambda: int(vm.await_stat(host, timeout=RESUME_TIMEOUT)[-1]["writes"]) > 0, RESUME_TIMEOUT, "it writes")
