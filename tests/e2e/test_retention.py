# SPDX-License-Identifier: Apache-2.0
"""What becomes of the copy that a volume leaves behind: how long it stays, how many stay, and what it is good for."""

import time
import uuid
from datetime import datetime

import pytest

from lab.cluster import MIB
from lab.product import CONFIG
from lab.waiting import wait_for

KEEP_FOR = 15  # seconds
RECONCILED = 30  # seconds: the agent looks every ten, on a busy machine

BACK_LIMIT = 10 * MIB  # for 8 MiB that the guest wrote at the other host


@pytest.fixture
def keep(cluster):
    """Sets `retention` of a host, as an operator does: in the file, then restart the agent."""
    files = {}

    def change(host, text):
        file = host.root / CONFIG.lstrip("/")
        files.setdefault(host, file.read_text())
        file.write_text(files[host] + text)
        restart_agent(cluster, host)

    yield change
    for host, text in files.items():
        (host.root / CONFIG.lstrip("/")).write_text(text)
        restart_agent(cluster, host)


def restart_agent(cluster, host):
    node = cluster.product.node(host)
    node.stop("agent")
    node.start("agent")


def take_over(cluster, name):
    """Moves a volume that nobody has open from the first host to the second, and waits until the first one knows that
    it is complete there."""
    source, destination = cluster.product.nodes
    domain = str(uuid.uuid4())
    destination.relay.post("/v1/standbys", {"domain": domain, "volumes": [name], "owner": source.host.name})
    destination.relay.post(f"/v1/takeovers/{domain}", None)
    cluster.await_state(destination.host, name, "SERVING")


def await_copy(cluster, host, name):
    """Waits until a node knows that its copy is not needed, and returns what its relay says of it."""

    def there():
        volume = cluster.volume(host, name)
        return volume if volume["completeAt"] else None

    return wait_for(there, RECONCILED, f"{host.name} knows that {name} is complete elsewhere")


def moment(text):
    return datetime.fromisoformat(text.rstrip("Z")[:26])


def test_the_way_back_moves_only_what_was_written_there(cluster, keep):
    keep(cluster.a, "retention:\n  keep-for: forever\n")
    vm = cluster.start_vm(size=512 * MIB, rate="idle", reads=0)
    [volume] = vm.volumes
    vm.migrate(cluster.a, cluster.b)
    there = cluster.await_state(cluster.b, volume, "SERVING")["fetch"]
    assert there["demand"] + there["background"] > 200 * MIB
    await_copy(cluster, cluster.a, volume)

    def written():
        [replica] = cluster.volume(cluster.b, volume)["replicas"]
        assert replica["node"] == cluster.a.name
        return replica["stale"]

    vm.command(cluster.b, "rate 400")
    wait_for(lambda: written() >= 8 * MIB, 60, "8 MiB are written at hostb")
    vm.command(cluster.b, "rate idle")
    wrote = written()
    vm.migrate(cluster.b, cluster.a)
    back = cluster.await_state(cluster.a, volume, "SERVING")["fetch"]
    on_the_wire = back["demand"] + back["background"]
    print(f"there {there}; {wrote} written; back {back}")
    assert 0 < on_the_wire <= wrote <= BACK_LIMIT
    cluster.await_gone(cluster.b, volume)  # keeps nothing: the other host's setting is its own
    vm.command(cluster.a, "rate full")
    cluster.assert_intact(vm, cluster.a)


def test_a_copy_stays_for_its_time_whatever_restarts(cluster, keep):
    keep(cluster.a, f"retention:\n  keep-for: {KEEP_FOR}s\n")
    cluster.product.create_volume("stays", 8 * MIB)
    take_over(cluster, "stays")
    since = await_copy(cluster, cluster.a, "stays")["completeSince"]
    node = cluster.product.a
    node.kill("relay")
    node.start("relay")
    restart_agent(cluster, cluster.a)
    assert cluster.volume(cluster.a, "stays")["completeSince"] == since
    assert f"complete at hostb since {since[:19]}Z" in node.cli("volume", "list")
    wait_for(lambda: cluster.volume(cluster.a, "stays") is None, KEEP_FOR + RECONCILED, "the copy is gone")

    def retirements():
        return [event for event in cluster.timeline(cluster.a, "agent", "stays") if event["kind"] == "retire"]

    [retired] = wait_for(retirements, RECONCILED, "the agent has noted that")
    assert KEEP_FOR <= (moment(retired["time"]) - moment(since)).total_seconds() < KEEP_FOR + RECONCILED
    assert not (cluster.a.root / "var/lib/vmferry/volumes/stays").exists()


def test_the_oldest_copy_goes_when_there_are_too_many(cluster, keep):
    keep(cluster.a, "retention:\n  keep-for: forever\n  keep-copies: 1\n")
    for name in ("older", "newer"):
        cluster.product.create_volume(name, 4 * MIB)
        take_over(cluster, name)
        await_copy(cluster, cluster.a, name)
        time.sleep(0.01)  # two times that can be told apart
    cluster.await_gone(cluster.a, "older")
    restart_agent(cluster, cluster.a)  # it looks again at once
    wait_for(
        lambda: cluster.product.a.agent.get("/v1/status")["libvirtUp"], RECONCILED, "the agent has looked at libvirt"
    )
    assert cluster.volume(cluster.a, "newer")["state"] == "RELEASED"
