# SPDX-License-Identifier: Apache-2.0
"""The owner is lost: what an operator can do with the copy, and what happens when the owner comes back after all."""

import random
import uuid

import pytest

from lab.nbd_client import MIB, NbdClient, assert_content, assert_same
from lab.product import COMMAND, Product
from lab.waiting import wait_for

SIZE = 8 * MIB
MET = 20  # seconds until a relay that started has met its peer: back-off is 5 at most, on a busy machine
COMPLETE_TIMEOUT = 30

# Nothing comes in the background after the first request, which brings the cap into debt.
FROZEN = 1  # bytes per second


@pytest.fixture
def relays(lab):
    """Without agents: nobody deletes a copy, and every takeover is this test's."""
    with Product(lab, services=["relay"]) as running:
        for node in running.nodes:
            wait_for(lambda node=node: link_up(node), MET, f"{node.host.name} is linked")
        yield running


def link_up(node):
    [peer] = node.relay.get("/v1/status")["peers"]
    return peer["up"]


def state(node, name):
    volume = node.volume(name)
    return volume and volume["state"]


def make_volume(node, name):
    image = bytearray(random.Random(3).randbytes(SIZE))
    node.relay.post("/v1/volumes", {"name": name, "size": SIZE})
    with NbdClient(node, name) as client:
        for start in range(0, SIZE, MIB):
            client.write(start, bytes(image[start : start + MIB]))
        client.flush()
    wait_for(lambda: node.volume(name)["clients"] == 0, 5, f"nobody has {name} open")
    return image


def attach(source, destination, name):
    domain = str(uuid.uuid4())
    destination.relay.post("/v1/standbys", {"domain": domain, "volumes": [name], "owner": source.host.name})
    return domain


def take_over(source, destination, name):
    destination.relay.post(f"/v1/takeovers/{attach(source, destination, name)}", None)


def refused(node, *arguments):
    """Runs a vmferry command that fails, and returns its sentence."""
    result = node.host.run([COMMAND, *arguments], check=False)
    assert (result.returncode, result.stdout) == (1, "")
    return result.stderr


def test_a_copy_is_promoted_and_the_old_owner_parks_when_it_is_back(relays):
    a, b = relays.nodes
    image = make_volume(a, "vol")
    take_over(a, b, "vol")
    wait_for(lambda: (a.volume("vol") or {}).get("completeAt") == "hostb", COMPLETE_TIMEOUT, "hosta knows")
    later = bytearray(image)
    later[MIB : 2 * MIB] = random.Random(4).randbytes(MIB)
    with NbdClient(b, "vol") as client:
        client.write(MIB, bytes(later[MIB : 2 * MIB]))
        client.flush()

    assert "owned by node hostb in epoch 2, which can be reached" in refused(a, "volume", "promote", "vol", "--force")
    b.kill("relay")
    wait_for(lambda: not link_up(a), MET, "hosta notices")
    losses = refused(a, "volume", "promote", "vol")
    print(losses)
    assert "owned by node hostb in epoch 2 since 20" in losses
    assert "as of the handover to node hostb at 20" in losses
    assert "nothing was changed, --force does it" in losses
    assert state(a, "vol") == "RELEASED"

    assert a.cli("volume", "promote", "vol", "--force") == "the volume vol is owned here, in epoch 3\n"
    a.kill("relay")  # it is durable
    a.start("relay")
    with NbdClient(a, "vol") as client:
        assert_content(client, image)
        image[0:4096] = bytes(4096)
        client.write(0, bytes(4096))
        client.flush()

    b.start("relay")
    wait_for(lambda: state(b, "vol") == "FORKED", MET, "hostb has met the new owner")
    assert state(a, "vol") == "SERVING"
    shown = b.cli("status")
    assert "has two owners: node hostb in epoch 2, whose copy is parked, and node hosta in epoch 3" in shown
    b.cli("volume", "export", "vol", "/run/lab/fork.raw")
    fork = b.host.root / "run/lab/fork.raw"
    assert_same(fork.read_bytes(), later, 0)
    fork.unlink()
    b.cli("volume", "delete", "vol")
    attach(a, b, "vol")
    assert b.volume("vol")["epoch"] == {"number": 3, "owner": "hosta"}
    with NbdClient(a, "vol") as client:
        assert_content(client, image)


def test_an_owner_that_lost_its_origin_says_how_much_is_missing(relays):
    a, b = relays.nodes
    make_volume(a, "half")
    b.relay.put("/v1/rate", {"bytesPerSecond": FROZEN})
    take_over(a, b, "half")
    wait_for(lambda: b.volume("half")["present"] > 0, MET, "something has come")
    a.kill("relay")
    wait_for(lambda: not link_up(b), MET, "hostb notices")
    missing = SIZE - b.volume("half")["present"]
    assert missing > MIB
    sentence = refused(b, "volume", "export", "half", "/run/lab/half.raw")
    assert f"lacks {missing} bytes here, which only node hosta has, and that can't be reached" in sentence
    assert "owned by this node already" in refused(b, "volume", "promote", "half", "--force")
    assert not (b.host.root / "run/lab/half.raw").exists()
