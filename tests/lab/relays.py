# SPDX-License-Identifier: Apache-2.0
"""A lab with two relays and no agents for many tests, and what they all do with volumes: no VM, raw NBD clients."""

import uuid

from .lab import DELAY_MS, RATE_MBIT, Lab
from .nbd_client import MIB, NbdClient
from .product import Product
from .waiting import wait_for

LINK_TIMEOUT = 15  # seconds, from a healed line to `up: true`: the longest back-off is 5
CLIENTS_TIMEOUT = 5  # seconds, from a client's DISC to the relay that knows it

# Nothing comes in the background after the first requests (512 KiB at most, from offset 0), which brings the cap into debt.
FROZEN = 1  # bytes per second


class Relays:
    """`with Relays() as relays:`; `calm` before each test. `relays.a` and `relays.b` are vmferry on the two hosts."""

    def __init__(self):
        self.lab = Lab()
        self.product = None

    def __enter__(self):
        self.lab.__enter__()
        try:
            self.product = Product(self.lab, services=["relay"]).__enter__()
        except BaseException:
            self.lab.down()
            raise
        return self

    def __exit__(self, *exception):
        self.product.__exit__(*exception)
        self.lab.__exit__(*exception)

    @property
    def a(self):
        return self.product.a

    @property
    def b(self):
        return self.product.b

    @property
    def nodes(self):
        return self.product.nodes

    @property
    def wan(self):
        return self.lab.wan

    def calm(self, delay_ms=DELAY_MS, rate_mbit=RATE_MBIT):
        """Both relays are up and linked over a healthy WAN, and copy as fast as they can."""
        self.wan.heal()
        self.wan.set(delay_ms=delay_ms, rate_mbit=rate_mbit, loss_percent=0)
        for node in self.nodes:
            if not node.running("relay"):
                node.start("relay")
            set_rate(node, None)
        for node in self.nodes:
            await_link(node)


def peer(node):
    """What a relay says of the other one."""
    [other] = node.relay.get("/v1/status")["peers"]
    return other


def link_up(node):
    return peer(node)["up"]


def await_link(node):
    wait_for(lambda: link_up(node), LINK_TIMEOUT, f"{node.host.name} is linked")


def set_rate(node, rate):
    """Caps the background copy to bytes per second; None: no cap."""
    node.relay.put("/v1/rate", {"bytesPerSecond": rate})


def fill_volume(node, name, size, islands):
    """A volume with data at some places, (offset, bytes), closed again."""
    node.relay.post("/v1/volumes", {"name": name, "size": size})
    with NbdClient(node, name) as client:
        for offset, data in islands:
            for start in range(0, len(data), MIB):
                client.write(offset + start, data[start : start + MIB])
        client.flush()
    await_closed(node, name)


def await_closed(node, name):
    wait_for(lambda: node.volume(name)["clients"] == 0, CLIENTS_TIMEOUT, f"nobody has {name} open")


def take_over(source, destination, name, rate=None):
    """Moves a volume that nobody has open, as the agent at the destination does when it sees the guest run."""
    set_rate(destination, rate)
    domain = str(uuid.uuid4())
    destination.relay.post("/v1/standbys", {"domain": domain, "volumes": [name], "owner": source.host.name})
    assert destination.volume(name)["state"] == "STANDBY"
    destination.relay.post(f"/v1/takeovers/{domain}", None)
    assert destination.volume(name)["state"] in ("FETCHING", "SERVING")
    assert source.volume(name)["state"] == "RELEASED"


def is_complete(node, name):
    volume = node.volume(name)
    assert volume["failure"] is None
    return volume["state"] == "SERVING"


def await_complete(node, name, timeout=60):
    wait_for(lambda: is_complete(node, name), timeout, f"{name} is complete at {node.host.name}", 0.1)
