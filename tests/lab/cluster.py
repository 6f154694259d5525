# SPDX-License-Identifier: Apache-2.0
"""A lab with vmferry on both hosts that many tests use one after the other, and what they all ask of a move."""

import itertools
import json
import shutil
import time

from .lab import DELAY_MS, RATE_MBIT, Lab
from .product import SOCKETS, ControlError, Product
from .vm import Vm
from .waiting import patient, wait_for

MIB = 1 << 20

# Seconds. All generous: they end a test that hangs, they are no measure of speed.
STATE_TIMEOUT = 60
RETIRE_TIMEOUT = 30
CLEAR_TIMEOUT = 20

# Bytes per second of background copy: so slow that a volume stays in fetch mode while a test does something to it.
CRAWL = 256 << 10


class Cluster:
    """`with Cluster() as cluster:`; `clear` makes it as new for the next test.

    `cluster.a` and `cluster.b` are the hosts, `cluster.product.a` and `.b` vmferry on them. Names of VMs and volumes
    are new for each test, because a host's logs are not.
    """

    def __init__(self, lab=None):
        self.lab = lab or Lab()
        self.product = None
        self._numbers = itertools.count(1)

    def __enter__(self):
        self.lab.__enter__()
        try:
            self.product = Product(self.lab).__enter__()
        except BaseException:
            self.lab.down()
            raise
        return self

    def __exit__(self, *exception):
        self.product.__exit__(*exception)
        self.lab.__exit__(*exception)

    @property
    def a(self):
        return self.lab.a

    @property
    def b(self):
        return self.lab.b

    @property
    def wan(self):
        return self.lab.wan

    # ---- VMs ----

    def start_vm(self, disks=1, size=64 * MIB, fill=500, **settings):
        """A VM with new volumes, running on the first host and past its first second of load."""
        number = next(self._numbers)
        volumes = [f"vol{number}{'abcd'[disk]}" for disk in range(disks)]
        for volume in volumes:
            self.product.create_volume(volume, size, fill)
        vm = Vm(self.lab, volumes, name=f"vm{number}", fill=fill, **settings)
        vm.start(self.a)
        vm.await_stat(self.a)
        return vm

    # ---- what becomes of volumes ----

    def volume(self, host, name):
        return self.product.node(host).volume(name)

    def await_state(self, host, name, state):
        """Waits until a node's replica is in a state, and returns what its relay says of it."""

        def there():
            volume = self.volume(host, name)
            return volume if volume and volume["state"] == state else None

        return wait_for(there, STATE_TIMEOUT, f"volume {name} on {host.name} is {state}")

    def await_gone(self, host, name):
        """Waits until a node neither lists a volume nor has a file of it: it leaves the list when its deletion
        begins, and its files follow."""
        files = host.root / "var/lib/vmferry/volumes" / name

        def gone():
            return self.volume(host, name) is None and not files.exists()

        wait_for(gone, RETIRE_TIMEOUT, f"volume {name} on {host.name} is gone, with its files")

    def await_not_owner(self, host, name):
        """Waits until a node has given a volume up: it is gone there, or a standby that waits to be dropped."""

        def given_up():
            volume = self.volume(host, name)
            return volume is None or volume["state"] == "STANDBY"

        wait_for(given_up, RETIRE_TIMEOUT, f"volume {name} on {host.name} is gone")

    def await_trouble(self, host, name):
        """Waits until a volume waits for something, and returns the sentence that says for what."""

        def waiting():
            volume = self.volume(host, name)
            return volume and volume["waitingFor"]

        return wait_for(waiting, STATE_TIMEOUT, f"volume {name} on {host.name} waits for something")

    def describe(self):
        """What both relays say of their volumes, for people; never raises."""
        lines = []
        for node in self.product.nodes:
            try:
                volumes = node.relay.get("/v1/status")["volumes"]
            except (OSError, ControlError) as error:
                lines.append(f"{node.host.name}: {error}")
            else:
                lines += [f"{node.host.name}: {json.dumps(volume)}" for volume in volumes]
        return "\n".join(lines)

    def timeline(self, host, process, *subjects):
        """What "relay" or "agent" of a host noted about these domains or volumes, oldest first."""
        events = getattr(self.product.node(host), process).get("/v1/timeline")
        return [event for event in events if event["subject"] in subjects]

    def crawl(self, host):
        """Volumes on this host stay in fetch mode until `hurry`."""
        self.product.node(host).relay.put("/v1/rate", {"bytesPerSecond": CRAWL})

    def hurry(self, host):
        self.product.node(host).relay.put("/v1/rate", {"bytesPerSecond": None})

    def assert_moved(self, vm, source, destination):
        """The VM runs at the destination, all its volumes are complete there and gone from the source, and every
        byte is what the guest believes it to be."""
        assert vm.state(source) is None
        for volume in vm.volumes:
            self.await_state(destination, volume, "SERVING")
        for volume in vm.volumes:
            self.await_gone(source, volume)
        self.assert_intact(vm, destination)

    def assert_intact(self, vm, host):
        """The guest runs on, never saw a wrong byte or an error, and its relay holds what the guest wrote."""
        [stat] = vm.await_stat(host)
        assert int(stat["writes"]) > 0
        sums = vm.sum(host)
        vm.assert_consistent(host)
        for volume in vm.volumes:
            verdict = self.product.verify(volume, self.product.node(host))
            assert (verdict.broken, verdict.digest) == (0, sums[volume])

    def assert_nothing_at(self, host, vm):
        """No domain, no volume, no file of this VM. libvirt takes a moment to notice that a client is gone."""
        wait_for(lambda: vm.state(host) is None, RETIRE_TIMEOUT, f"{vm.name} is not known on {host.name}")
        for volume in vm.volumes:
            self.await_gone(host, volume)

    # ---- between tests ----

    def clear(self):
        """No VM, no volume, all processes running, the WAN as at the start."""
        self._restore_wan()
        for host in self.lab.hosts:
            for domain in host.virsh("list", "--name").split():
                host.virsh("destroy", domain)
        self._restart()
        if not self._delete_volumes():
            self._start_anew()

    def _restore_wan(self):
        self.wan.heal()
        self.wan.set(delay_ms=DELAY_MS, rate_mbit=RATE_MBIT, loss_percent=0)

    def _restart(self):
        """Starts what a test has ended; nothing is held back any more."""
        for name in SOCKETS:
            for node in self.product.nodes:
                if not node.running(name):
                    node.start(name)
        for host in self.lab.hosts:
            self.hurry(host)

    def _delete_volumes(self):
        """Whether it was possible: a test that failed may have left volumes that need each other."""
        deadline = time.monotonic() + patient(CLEAR_TIMEOUT)
        while time.monotonic() < deadline:
            left = [(node, volume) for node in self.product.nodes for volume in node.relay.get("/v1/status")["volumes"]]
            if not left:
                return True
            for node, volume in left:
                try:
                    node.relay.delete(f"/v1/volumes/{volume['name']}")
                except ControlError:
                    pass  # the other node's comes first, or a client is still leaving
            time.sleep(0.1)
        return False

    def _start_anew(self):
        self.lab.note("volumes could not be deleted: starting from empty folders")
        for node in self.product.nodes:
            for name in reversed(SOCKETS):
                node.kill(name)
            for folder in ("var/lib/vmferry", "run/vmferry"):
                for entry in (node.host.root / folder).iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for name in SOCKETS:
            for node in self.product.nodes:
                node.start(name)
