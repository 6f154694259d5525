# SPDX-License-Identifier: Apache-2.0
"""The migration breaks after the guest was stopped at the source: nothing that was acknowledged is lost, nobody runs
twice on one disk, and the VM goes on at the source by itself or says what it waits for."""

import contextlib
import re

import pytest

from lab.lab import RATE_MBIT
from lab.waiting import wait_for

SLOW_MBIT = 80
LIBVIRT_PORT = 16509
KEEPALIVE = 5  # seconds
AT_ONCE = 40  # seconds
BY_ITSELF = 120  # seconds; virsh notices a dead link after 10, the agent looks every 10 and waits for 10


# ---- windows ----


@contextlib.contextmanager
def stopped_at_source(cluster, vm, *options):
    """The memory is at the destination, both QEMUs are paused, and `virsh` has not asked for the last step yet."""
    cluster.wan.set(rate_mbit=SLOW_MBIT)
    with vm.migration(cluster.a, cluster.b, *options, keepalive=KEEPALIVE) as migration:
        migration.await_memory()
        migration.freeze_client()
        try:
            cluster.wan.set(rate_mbit=RATE_MBIT)
            wait_for(lambda: memory_is_sent(cluster.a, vm), AT_ONCE, "all memory is at the destination")
            yield migration
        finally:
            if not migration.ended:
                migration.kill_client()


def memory_is_sent(host, vm):
    if not vm.state(host).startswith("paused"):
        return False
    return re.search(r"^memory_remaining:\s+0$", job_of(host, vm, "--rawstats"), re.M) is not None


def await_client_given_up(host, vm):
    """A client that dies before libvirt has noted the end of QEMU's migration is no problem: libvirt takes the guest
    back. This one doesn't answer for so long that libvirt closes its connection, some time after that."""
    wait_for(lambda: "Unbounded" not in job_of(host, vm), AT_ONCE, "libvirt gives the client up")


def job_of(host, vm, *options):
    return host.run(["virsh", "--quiet", "domjobinfo", vm.name, *options], check=False).stdout


@contextlib.contextmanager
def resumed_at_destination(cluster, vm):
    """The guest runs at the destination, which owns its volumes, and `virsh` waits for an answer that never comes."""
    cluster.crawl(cluster.b)
    with stopped_at_source(cluster, vm) as migration:
        rule = f"ipproto tcp sport {LIBVIRT_PORT} blackhole".split()
        cluster.b.run(["ip", "rule", "add", *rule])
        try:
            migration.thaw_client()
            wait_for(lambda: (vm.state(cluster.b) or "").startswith("running"), AT_ONCE, "the guest runs there")
            for volume in vm.volumes:
                cluster.await_state(cluster.b, volume, "FETCHING")
            yield migration
        finally:
            cluster.b.run(["ip", "rule", "del", *rule])


# ---- what is seen ----


def await_running(vm, host):
    wait_for(lambda: (vm.state(host) or "").startswith("running"), BY_ITSELF, f"{vm.name} runs on {host.name}")


def note(cluster, host, vm):
    domains = cluster.product.node(host).agent.get("/v1/status")["domains"]
    return next((domain["note"] for domain in domains if domain["name"] == vm.name), None)


def await_note(cluster, host, vm):
    return wait_for(lambda: note(cluster, host, vm), BY_ITSELF, f"the agent on {host.name} says something of {vm.name}")


def write_some(vm, host):
    """The guest writes for a second or two; returns what it believes to be on its disks. Not all of it is flushed."""
    vm.command(host, "rate 500")
    wait_for(lambda: int(vm.await_stat(host)[-1]["writes"]) > 0, AT_ONCE, "it writes")
    return vm.digest(host)


def start_anew(vm, host):
    """A fresh start on what is on the disks, at whichever moment of a takeover that a guest here wanted before."""
    vm.start(host, vm.domain_xml().replace("load.fill=500", "load.learn=1"))


def assert_works(cluster, vm, host):
    vm.command(host, "rate 500")
    vm.command(host, "go")
    vm.await_stat(host, 2)
    cluster.assert_intact(vm, host)


def assert_content(cluster, vm, host, sums):
    for volume in vm.volumes:
        verdict = cluster.product.verify(volume, cluster.product.node(host))
        assert (verdict.broken, verdict.digest) == (0, sums[volume])


# ---- the client dies ----


def test_client_killed_while_memory_is_copied(cluster):
    vm = cluster.start_vm(rate=2000)
    cluster.wan.set(rate_mbit=SLOW_MBIT)
    with vm.migration(cluster.a, cluster.b) as migration:
        migration.await_memory()
        migration.kill_client()
    cluster.assert_nothing_at(cluster.b, vm)
    assert vm.state(cluster.a).startswith("running")
    cluster.assert_intact(vm, cluster.a)


def test_client_killed_when_the_source_is_stopped(cluster):
    vm = cluster.start_vm(rate=500)
    with stopped_at_source(cluster, vm) as migration:
        await_client_given_up(cluster.a, vm)
        migration.kill_client()
    assert vm.state(cluster.a) == "paused (migrating)"  # and libvirt leaves it so
    await_running(vm, cluster.a)
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)
    kinds = [event["detail"] for event in cluster.timeline(cluster.a, "agent", vm.name) if event["kind"] == "resume"]
    assert kinds == ["resumed: left paused by a migration that is over"]


def test_client_killed_and_the_destination_not_reachable(cluster):
    vm = cluster.start_vm(rate=500)
    with stopped_at_source(cluster, vm) as migration:
        await_client_given_up(cluster.a, vm)
        cluster.wan.cut()
        migration.kill_client()
    assert "whether it runs elsewhere is not known: node hostb does not answer" in await_note(cluster, cluster.a, vm)
    assert vm.state(cluster.a) == "paused (migrating)"
    assert vm.name in cluster.product.a.cli("status")
    cluster.wan.heal()
    await_running(vm, cluster.a)
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


def test_client_killed_when_the_guest_runs_at_the_destination(cluster):
    vm = cluster.start_vm(rate=500)
    with resumed_at_destination(cluster, vm) as migration:
        migration.kill_client()
    assert await_note(cluster, cluster.a, vm).startswith(
        "its migration is over and node hostb owns its volumes since: the guest went on there"
    )
    assert vm.state(cluster.a) == "paused (migrating)"
    vm.destroy(cluster.a)
    cluster.hurry(cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


def test_source_libvirtd_killed_when_the_source_is_stopped(cluster):
    """libvirt itself resumes the source when it starts again."""
    vm = cluster.start_vm(rate=500)
    with stopped_at_source(cluster, vm) as migration:
        await_client_given_up(cluster.a, vm)
        cluster.a.libvirtd.kill()
        cluster.a.begin_libvirtd()
        cluster.a.await_libvirtd()
        migration.kill_client()
    await_running(vm, cluster.a)
    cluster.assert_nothing_at(cluster.b, vm)
    cluster.assert_intact(vm, cluster.a)


# ---- the destination dies after the takeover, the source still being there ----


def test_destination_killed_before_it_wrote(cluster):
    vm = cluster.start_vm(rate="idle")
    with resumed_at_destination(cluster, vm) as migration:
        vm.kill_qemu(cluster.b)
        assert "keepalive" in migration.fail()
    await_running(vm, cluster.a)
    cluster.await_state(cluster.a, vm.volumes[0], "SERVING")
    cluster.assert_nothing_at(cluster.b, vm)
    assert_works(cluster, vm, cluster.a)  # its memory fits its disk


def test_destination_killed_after_it_wrote(cluster):
    vm = cluster.start_vm(rate="idle")
    with resumed_at_destination(cluster, vm) as migration:
        written = write_some(vm, cluster.b)
        vm.kill_qemu(cluster.b)
        migration.fail()
    await_running(vm, cluster.a)
    cluster.await_state(cluster.a, vm.volumes[0], "SERVING")
    cluster.assert_nothing_at(cluster.b, vm)
    assert_content(cluster, vm, cluster.a, written)
    assert vm.sum(cluster.a) != written  # its memory is older: with a shared disk it would be no other
    vm.destroy(cluster.a)
    start_anew(vm, cluster.a)
    assert vm.sum(cluster.a) == written
    assert_works(cluster, vm, cluster.a)


def test_destination_killed_and_not_reachable(cluster):
    vm = cluster.start_vm(rate="idle")
    [volume] = vm.volumes
    with resumed_at_destination(cluster, vm) as migration:
        written = write_some(vm, cluster.b)
        cluster.wan.cut()
        vm.kill_qemu(cluster.b)
        migration.fail()
    await_running(vm, cluster.a)
    assert "hostb" in cluster.await_trouble(cluster.a, volume)
    vm.command(cluster.a, "rate 500")
    vm.await_stat(cluster.a, 2)
    assert vm.lines(cluster.a, "stat")[-1]["writes"] == "0"  # held
    assert cluster.volume(cluster.a, volume)["state"] == "RELEASED"
    vm.destroy(cluster.a)  # or it would write with its old memory as soon as it can
    cluster.wan.heal()
    relay = cluster.product.a.relay
    wait_for(lambda: relay.get("/v1/status")["peers"][0]["up"], AT_ONCE, "the link is back")
    start_anew(vm, cluster.a)
    assert vm.sum(cluster.a) == written
    cluster.await_state(cluster.a, volume, "SERVING")
    assert_works(cluster, vm, cluster.a)


def test_guest_resumed_at_the_source_while_it_runs_at_the_destination(cluster):
    """libvirt does that when it gets no answer to its last question. Only one of them may write."""
    vm = cluster.start_vm(rate="idle")
    [volume] = vm.volumes
    with resumed_at_destination(cluster, vm) as migration:
        migration.fail()
    await_running(vm, cluster.a)
    vm.command(cluster.a, "rate 500")
    sentence = f"volume {volume} is in use at its owner by domain {vm.name}; shut that down or migrate it"
    wait_for(lambda: (cluster.volume(cluster.a, volume) or {}).get("waitingFor") == sentence, AT_ONCE, sentence)
    vm.command(cluster.b, "rate 500")
    vm.await_stat(cluster.b, 2)
    vm.destroy(cluster.a)
    cluster.hurry(cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


# ---- the destination dies after the migration ----


@pytest.mark.parametrize("host", ["a", "b"])
def test_killed_in_fetch_mode_and_started_anew(cluster, host):
    """libvirt knows nothing of the domain any more: a start at either host finds every acknowledged write."""
    vm = cluster.start_vm(rate="idle")
    cluster.crawl(cluster.b)
    vm.migrate(cluster.a, cluster.b)
    cluster.await_state(cluster.b, vm.volumes[0], "FETCHING")
    written = write_some(vm, cluster.b)
    assert vm.state(cluster.a) is None
    vm.kill_qemu(cluster.b)
    wait_for(lambda: vm.state(cluster.b) is None, AT_ONCE, "libvirt has noticed")
    where = getattr(cluster, host)
    start_anew(vm, where)
    assert vm.sum(where) == written
    cluster.hurry(where)
    assert_works(cluster, vm, where)
