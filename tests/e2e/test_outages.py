# SPDX-License-Identifier: Apache-2.0
"""A link or a disk fails under a running VM: it waits, is paused and goes on, and never sees an error or a wrong byte.

What a relay does then, without a VM, is in test_two_relays.py (links) and test_bad_input.py (full disks).
"""

import contextlib
import os
import signal
import time

import pytest

from lab.cluster import MIB
from lab.host import only_child
from lab.lab import RATE_MBIT
from lab.product import CONFIG, PEER_PORT
from lab.waiting import wait_for

NOTICED = 30  # seconds; heartbeats notice a dead link after 5
SLOW_MBIT = 80
PAUSE_AFTER = 3  # seconds
RESUMED = 60  # seconds; QEMU connects again with a back-off of up to 16 s


def start_fetching(cluster, **settings):
    """A VM that runs at the second host, its volume in fetch mode there until `cluster.hurry`."""
    vm = cluster.start_vm(**{"rate": 500, "size": 128 * MIB, **settings})
    cluster.crawl(cluster.b)
    vm.migrate(cluster.a, cluster.b)
    for volume in vm.volumes:
        cluster.await_state(cluster.b, volume, "FETCHING")
    return vm


def fetch(cluster, vm):
    return cluster.volume(cluster.b, vm.volumes[0])["fetch"]


def await_link(cluster, vm, up):
    wait_for(lambda: fetch(cluster, vm)["linkUp"] == up, NOTICED, f"the link is {'up' if up else 'down'} at hostb")


def note(cluster, vm):
    domains = cluster.product.b.agent.get("/v1/status")["domains"]
    return next((domain["note"] for domain in domains if domain["name"] == vm.name), None)  # not read yet


# ---- the link ----


def test_link_lost_for_seconds_while_memory_is_copied(cluster):
    vm = cluster.start_vm(rate=500)
    [volume] = vm.volumes
    cluster.wan.set(rate_mbit=SLOW_MBIT)
    with vm.migration(cluster.a, cluster.b) as migration:
        migration.await_memory()
        cluster.wan.cut()
        link = cluster.product.b.relay
        wait_for(lambda: not link.get("/v1/status")["peers"][0]["up"], NOTICED, "the loss is noticed")
        assert cluster.volume(cluster.b, volume)["state"] == "STANDBY"
        assert vm.state(cluster.a).startswith("running")
        vm.await_stat(cluster.a)
        cluster.wan.heal()
        cluster.wan.set(rate_mbit=RATE_MBIT)
        migration.succeed()
    cluster.assert_moved(vm, cluster.a, cluster.b)


@contextlib.contextmanager
def relays_separated(cluster):
    """The relays can't reach each other; all else gets through."""
    rules = [["ipproto", "tcp", port, str(PEER_PORT), "blackhole"] for port in ("dport", "sport")]
    for rule in rules:
        cluster.b.run(["ip", "rule", "add", *rule])
    try:
        yield
    finally:
        for rule in rules:
            cluster.b.run(["ip", "rule", "del", *rule])


def test_link_lost_before_the_takeover(cluster):
    """The guest is resumed at the destination, and its first write waits for the source to let go."""
    vm = cluster.start_vm(rate=500)
    [volume] = vm.volumes
    with relays_separated_after_attach(cluster, vm) as migration:
        migration.succeed()
        assert vm.state(cluster.b).startswith("running")
        sentence = "node hosta to release the volume"
        wait_for(lambda: sentence in (cluster.volume(cluster.b, volume)["waitingFor"] or ""), NOTICED, sentence)
        assert cluster.volume(cluster.b, volume)["state"] == "STANDBY"
    cluster.assert_moved(vm, cluster.a, cluster.b)


@contextlib.contextmanager
def relays_separated_after_attach(cluster, vm):
    cluster.wan.set(rate_mbit=SLOW_MBIT)
    with vm.migration(cluster.a, cluster.b) as migration:
        migration.await_memory()
        with relays_separated(cluster):
            link = cluster.product.b.relay
            wait_for(lambda: not link.get("/v1/status")["peers"][0]["up"], NOTICED, "the loss is noticed")
            cluster.wan.set(rate_mbit=RATE_MBIT)
            yield migration


def test_writes_go_on_without_the_link_and_the_copy_where_it_was(cluster):
    vm = start_fetching(cluster, reads=0, partial=0)
    cluster.wan.cut()
    await_link(cluster, vm, up=False)
    copied = fetch(cluster, vm)["background"]
    assert all(int(stat["writes"]) > 0 for stat in vm.await_stat(cluster.b, 5))
    assert fetch(cluster, vm)["background"] == copied > 0
    cluster.wan.heal()
    await_link(cluster, vm, up=True)
    cluster.hurry(cluster.b)
    cluster.await_state(cluster.b, vm.volumes[0], "SERVING")
    fetched = fetch(cluster, vm)
    moved = sum(fetched[way] for way in ("demand", "background", "holes", "overwritten"))
    assert moved == 128 * MIB  # nothing came twice
    cluster.assert_moved(vm, cluster.a, cluster.b)


# ---- pause-after ----


@pytest.fixture
def pausing_agent(cluster):
    """The agent at the second host pauses soon."""
    file = cluster.b.root / CONFIG.lstrip("/")
    text = file.read_text()
    file.write_text(f"{text}guest:\n  pause-after: {PAUSE_AFTER} s\n")
    restart_agent(cluster)
    yield
    file.write_text(text)
    restart_agent(cluster)


def restart_agent(cluster):
    cluster.product.b.kill("agent")
    cluster.product.b.start("agent")


def test_a_guest_that_waits_is_paused_until_the_link_is_back(cluster, pausing_agent):
    vm = start_fetching(cluster)
    cut = time.monotonic()
    cluster.wan.cut()
    wait_for(lambda: vm.state(cluster.b) == "paused (user)", NOTICED + PAUSE_AFTER, "it is paused")
    ran = time.monotonic() - cut
    wait_for(lambda: note(cluster, vm), NOTICED, "the status says why")
    sentence = "paused by vmferry: it waits for blocks of node hosta and the link is down; resumed by itself when that"
    assert sentence in note(cluster, vm)
    assert sentence in cluster.product.b.cli("status")
    restart_agent(cluster)  # the next one knows that it is to resume it
    wait_for(lambda: note(cluster, vm), NOTICED, "the next agent says it too")
    assert vm.state(cluster.b) == "paused (user)"
    wait_for(lambda: time.monotonic() - cut > ran + 4, NOTICED, "it is away for longer than it ran")
    away = time.monotonic() - cut
    cluster.wan.heal()
    wait_for(lambda: vm.state(cluster.b).startswith("running"), RESUMED, "it is resumed")
    vm.await_stat(cluster.b, 2)
    worst = max(float(stat["worst_ms"]) for stat in vm.lines(cluster.b, "stat")) / 1000
    assert worst < ran + 2 < away  # its clock stood still
    cluster.hurry(cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


def test_a_pause_of_the_operator_is_left_alone(cluster, pausing_agent):
    vm = start_fetching(cluster)
    cluster.b.virsh("suspend", vm.name)
    cluster.wan.cut()
    await_link(cluster, vm, up=False)
    cluster.wan.heal()
    await_link(cluster, vm, up=True)
    restart_agent(cluster)  # looks at everything anew
    cluster.hurry(cluster.b)
    cluster.await_state(cluster.b, vm.volumes[0], "SERVING")
    assert vm.state(cluster.b) == "paused (user)"
    assert note(cluster, vm) is None
    cluster.b.virsh("resume", vm.name)
    cluster.assert_moved(vm, cluster.a, cluster.b)


# ---- the disk ----


@pytest.fixture
def small_disk(cluster):
    """The second host's volumes are on a small disk of their own."""
    folder = "/var/lib/vmferry/volumes"
    cluster.product.b.stop("relay")
    cluster.b.run(["mount", "-t", "tmpfs", "-o", f"size={96 * MIB},uid=vmferry,mode=700", "tmpfs", folder])
    cluster.product.b.start("relay")
    disk = cluster.b.root / folder.lstrip("/")
    yield disk
    (disk / "ballast").unlink(missing_ok=True)
    cluster.clear()
    cluster.product.b.stop("relay")
    cluster.b.run(["umount", folder])
    cluster.product.b.start("relay")


def test_a_full_disk_holds_the_guest_until_there_is_room(cluster, small_disk):
    vm = start_fetching(cluster, size=64 * MIB)
    [volume] = vm.volumes
    with open(small_disk / "ballast", "wb") as ballast:
        stat = os.statvfs(small_disk)
        os.posix_fallocate(ballast.fileno(), 0, stat.f_bavail * stat.f_frsize - MIB)
    cluster.hurry(cluster.b)
    wait_for(lambda: "space" in (cluster.volume(cluster.b, volume)["waitingFor"] or ""), 30, "the copy has stopped")
    # Its reads go on. It is paused when a write of its own finds no space, and again after each try of the agent.
    wait_for(lambda: vm.state(cluster.b) == "paused (I/O error)", 60, "a write has found no space")
    assert cluster.volume(cluster.b, volume)["failure"] is None
    (small_disk / "ballast").unlink()
    cluster.await_state(cluster.b, volume, "SERVING")
    wait_for(lambda: vm.state(cluster.b).startswith("running"), RESUMED, "it is resumed")
    cluster.assert_moved(vm, cluster.a, cluster.b)


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_a_disk_error_stops_the_volume_until_the_relay_is_restarted(cluster, call):
    vm = start_fetching(cluster)
    [volume] = vm.volumes
    tracer = cluster.b.popen(
        ["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when=1",
         "-p", inner_pid(cluster.product.b.pid("relay"))]
    )  # fmt: skip
    try:
        wait_for(lambda: cluster.volume(cluster.b, volume)["failure"], 30, "the volume is stopped")
        assert "EIO" in cluster.volume(cluster.b, volume)["failure"]
        wait_for(lambda: vm.state(cluster.b) == "paused (I/O error)", 30, "the guest is paused")
    finally:
        os.kill(only_child(tracer.pid), signal.SIGTERM)
        tracer.wait(10)
    assert cluster.volume(cluster.b, volume)["failure"]  # the disk works again, and nothing is tried
    cluster.product.b.kill("relay")
    cluster.product.b.start("relay")
    wait_for(lambda: vm.state(cluster.b).startswith("running"), RESUMED, "it is resumed")
    cluster.hurry(cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)


def inner_pid(pid):
    """A process's number inside its host."""
    [line] = [line for line in open(f"/proc/{pid}/status") if line.startswith("NSpid:")]
    return line.split()[-1]
