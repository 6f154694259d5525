# SPDX-License-Identifier: Apache-2.0
"""The cloud: a cluster of the lab with vmferry, a controller beside it, Nova and Cinder with vmferry's drivers."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from lab import stamp
from lab.cluster import MIB, Cluster
from lab.guest import image
from lab.lab import LabError
from lab.paths import RUNNING
from lab.product import IMPORTS
from lab.verify import verify
from lab.vm import NBD_SOCKET
from lab.waiting import wait_for

from . import memory, packages
from .api import Api, ApiError
from .compute import Compute
from .config import BACKEND
from .controller import Controller
from .server import POLL, Server, guest_name

# Seconds; they end a start that hangs on a busy machine.
SERVICES_TIMEOUT = 300
VOLUME_TIMEOUT = 180
CLEAR_TIMEOUT = 180

FLAVOR = "guest"
FLAVOR_MIB = 192
VOLUME_GIB = 1  # the least that Cinder makes

# Only the first part of each volume is written and read: a gibibyte takes too long to verify.
AREA = 64 * MIB
FILL = 500  # per mille of it that hold something from the start

# The guest learns what is on its disks when it boots, because it boots again in some tests.
KERNEL_ARGUMENTS = f"console=ttyS0 quiet panic=-1 load.learn=1 load.area={AREA // MIB} load.rate={{rate}}"
RATES = {"full": "guest", "300": "calm guest"}  # I/O per second -> name of the image


def volume_name(identity):
    """The name that vmferry knows a Cinder volume by."""
    return f"volume-{identity}"


class Cloud(Cluster):
    """`with Cloud() as cloud:`; `clear` makes it as new for the next test.

    `cloud.api` is Nova, Cinder and the others; `cloud.computes` the compute hosts, in the order of `cloud.a` and
    `cloud.b`. cinder-volume runs on the first.
    """

    def __init__(self, lab=None):
        super().__init__(lab)
        self.controller = Controller(RUNNING / "controller")
        self.api = Api(self.controller)
        self.computes = [Compute(host) for host in self.lab.hosts]
        self._images = {}
        self._lent = {}  # number of disks -> server
        self._names = itertools.count(1)

    def __enter__(self):
        problem = memory.lacking()
        if problem:
            raise LabError(f"the cloud can't start: {problem}")
        packages.install_missing()
        super().__enter__()
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def compute(self, host):
        return next(compute for compute in self.computes if compute.host is host)

    # ---- up ----

    def _begin(self):
        self.lab.add(self.controller)
        self.controller.connect(self.lab.hosts)
        with ThreadPoolExecutor() as pool:
            hosts = [pool.submit(compute.prepare) for compute in self.computes]
            self.controller.begin()
            for host in hosts:
                host.result()
        self.lab.note("the controller's services answer")
        self.api.login()
        self.api.make_service_user()
        self.api.get("network", "/v2.0/networks")  # the first request for ports of a new neutron-server would fail
        self._make_volume_type()
        # Each of these gives up, or waits for a minute, if what it needs is not there yet.
        self.controller.begin_workers()
        self.computes[0].start_cinder()
        self._await_services("compute", "/os-services", {"nova-conductor": 1, "nova-scheduler": 1})
        for compute in self.computes:
            compute.start_nova()
        self._make_flavor()
        self._upload_images()
        self._await_services("volume", "/os-services", {"cinder-scheduler": 1, "cinder-volume": 1})
        wait_for(self._has_backend, SERVICES_TIMEOUT, "cinder-scheduler knows the backend", POLL)
        wait_for(self._has_computes, SERVICES_TIMEOUT, "Nova knows both compute hosts", POLL)
        self.lab.note("the cloud is up")

    def _await_services(self, service, path, wanted):
        def up():
            there = [s["binary"] for s in self.api.get(service, path)["services"] if s["state"] == "up"]
            return all(there.count(name) >= number for name, number in wanted.items())

        wait_for(up, SERVICES_TIMEOUT, f"{', '.join(wanted)} of {service} are up: see {self.controller.logs}", POLL)

    def _has_backend(self):
        return self.api.get("volume", "/scheduler-stats/get_pools")["pools"]

    def _has_computes(self):
        up = [each for each in self.api.get("compute", "/os-hypervisors")["hypervisors"] if each["state"] == "up"]
        return len(up) == len(self.computes)

    def _make_volume_type(self):
        specifications = {"volume_backend_name": BACKEND}
        self.api.post("volume", "/types", {"volume_type": {"name": BACKEND, "extra_specs": specifications}})

    def _make_flavor(self):
        flavor = {"name": FLAVOR, "id": FLAVOR, "ram": FLAVOR_MIB, "vcpus": 1, "disk": 0}
        self.api.post("compute", "/flavors", {"flavor": flavor})

    def _upload_images(self):
        """A disk of zeroes, which Nova boots with the kernel and initramfs that its properties name."""
        guest = image.build()
        boot = {
            "kernel_id": self.upload_image("kernel", guest.kernel.read_bytes()),
            "ramdisk_id": self.upload_image("initramfs", guest.initramfs.read_bytes()),
        }
        for rate, name in RATES.items():
            arguments = KERNEL_ARGUMENTS.format(rate=rate)
            self._images[rate] = self.upload_image(name, bytes(MIB), os_command_line=arguments, **boot)

    def upload_image(self, name, content, **properties):
        # Kernels too: of "aki" and "ari" Nova would say that the content doesn't match.
        wanted = {"name": name, "disk_format": "raw", "container_format": "bare", **properties}
        made = self.api.post("image", "/v2/images", wanted)["id"]
        self.api.upload(f"/v2/images/{made}/file", content)
        return made

    def crash_nova(self, host):
        """Kills nova-compute on a host and starts it again; returns when Nova has heard of the new one."""
        compute = self.compute(host)
        compute.kill_nova()
        before = self._last_word(host)
        compute.start_nova()
        wait_for(lambda: self._last_word(host) > before, SERVICES_TIMEOUT, f"nova-compute on {host.name} is back", POLL)

    def _last_word(self, host):
        """When Nova heard of the host's nova-compute last; it says so when it takes requests, and every 10 seconds."""
        path = f"/os-services?host={host.name}&binary=nova-compute"
        [service] = self.api.get("compute", path)["services"]
        return service["updated_at"] or ""

    # ---- servers and volumes ----

    def create_volume(self, size=VOLUME_GIB, content=True, **settings):
        """A new Cinder volume; with CONTENT it holds what a guest can verify, written at the first host."""
        made = self.api.post("volume", "/volumes", {"volume": {"size": size, "volume_type": BACKEND, **settings}})
        identity = made["volume"]["id"]
        self.await_volume(identity, "available")
        if content:
            self._fill(identity)
        return identity

    def _fill(self, identity):
        file = self.a.root / IMPORTS.lstrip("/") / f"{identity}.raw"
        stamp.prefill(file, guest_name(identity), AREA, FILL)
        try:
            export = f"nbd+unix:///{volume_name(identity)}?socket={NBD_SOCKET}"
            options = ["-n", "--target-is-zero", "-f", "raw", "-O", "raw"]
            self.a.run(["qemu-img", "convert", *options, f"{IMPORTS}/{identity}.raw", export])
        finally:
            file.unlink()

    def await_volume(self, identity, status):
        def there():
            now = self.api.get("volume", f"/volumes/{identity}")["volume"]["status"]
            if now.startswith("error") and not status.startswith("error"):
                raise AssertionError(f"volume {identity} is {now}: see the log of cinder-volume on {self.a.name}")
            return now == status

        wait_for(there, VOLUME_TIMEOUT, f"volume {identity} is {status}", POLL)

    def start_server(self, disks=1, rate="full", host=None, **settings):
        """A server with new volumes, booted from the first, on the first host unless said, under load."""
        root = self.create_volume(imageRef=self._images[rate])
        return self.boot([root, *(self.create_volume() for _ in range(disks - 1))], host=host, **settings)

    def lend(self, disks=1):
        """A server that goes from test to test, and is on the host where the last one left it: new ones take a quarter
        of a minute each. Its load leaves time for others."""
        if disks not in self._lent:
            self._lent[disks] = self.start_server(disks=disks, rate="300")
        return self._lent[disks]

    def ways(self, server):
        """The host that a server is on, and the other one."""
        source = server.node
        return source, next(host for host in self.lab.hosts if host is not source)

    def boot(self, volumes, host=None, **settings):
        """A server on these volumes."""
        name = f"server{next(self._names)}"
        devices = [
            {"uuid": volume, "source_type": "volume", "destination_type": "volume", "boot_index": 0 if first else -1}
            for first, volume in zip([True, *(False for _ in volumes)], volumes)
        ]
        wanted = {"name": name, "flavorRef": FLAVOR, "networks": "none", "block_device_mapping_v2": devices}
        wanted["host"] = (host or self.a).name
        made = self.api.post("compute", "/servers", {"server": {**wanted, **settings}})
        server = Server(self, made["server"]["id"], name, volumes)
        server.await_status()
        server.await_load()
        return server

    def delete_server(self, server):
        self.api.delete("compute", f"/servers/{server.id}")
        path = "/servers/detail?all_tenants=1"
        self._await_without(server.id, "compute", path, "servers")

    def delete_volume(self, identity):
        self.api.delete("volume", f"/volumes/{identity}")
        self._await_without(identity, "volume", "/volumes/detail", "volumes")

    def _await_without(self, identity, service, path, what):
        def gone():
            return all(each["id"] != identity for each in self._all(service, path, what))

        wait_for(gone, CLEAR_TIMEOUT, f"{identity} of {what} is deleted", POLL)

    def extend_volume(self, identity, size, status="available"):
        """To SIZE GiB; STATUS is the volume's, before and after."""
        self.api.post("volume", f"/volumes/{identity}/action", {"os-extend": {"new_size": size}})
        self.await_volume(identity, status)
        assert self.api.get("volume", f"/volumes/{identity}")["volume"]["size"] == size

    def create_snapshot(self, identity):
        made = self.api.post("volume", "/snapshots", {"snapshot": {"volume_id": identity}})["snapshot"]["id"]

        def there():
            status = self.api.get("volume", f"/snapshots/{made}")["snapshot"]["status"]
            assert status != "error", f"snapshot {made} is in error: see the log of cinder-volume on {self.a.name}"
            return status == "available"

        wait_for(there, VOLUME_TIMEOUT, f"snapshot {made} is available", POLL)
        return made

    # ---- what becomes of them ----

    def assert_moved(self, server, source, destination):
        """The server runs at the destination, all its volumes are complete there and gone from the source, and every
        byte is what the guest believes it to be."""
        assert server.node is destination
        assert server.state(source) is None
        for volume in server.disks:
            self.await_state(destination, volume_name(volume), "SERVING")
        for volume in server.disks:
            self.await_gone(source, volume_name(volume))
        self.assert_intact(server, destination)

    def assert_intact(self, server, host):
        [stat] = server.await_stat(host, timeout=60)
        assert int(stat["writes"]) > 0
        sums = server.sum(host)
        server.assert_consistent(host)
        for volume in server.disks:
            verdict = self.verify(volume, host)
            assert (verdict.broken, verdict.digest) == (0, sums[guest_name(volume)])
        server.command(host, "go")

    def verify(self, volume, host):
        """Reads a volume through a host's NBD socket."""
        path = host.root / NBD_SOCKET.lstrip("/")
        return verify(f"nbd+unix:///{volume_name(volume)}?socket={path}", guest_name(volume), AREA)

    def attachments(self, volume):
        """Who has it attached, or reserved, as Cinder sees it."""
        return self.api.get("volume", f"/attachments/detail?volume_id={volume}")["attachments"]

    def assert_nothing_reserved(self, server):
        """Each volume has one attachment, and that is in use."""
        for volume in server.disks:
            assert [each["status"] for each in self.attachments(volume)] == ["attached"]

    # ---- between tests ----

    def clear(self, anew=False):
        """No server and no volume but those that are lent, all processes running, the WAN as at the start. With ANEW
        nothing is lent any more: for when a test has failed, and a server may not be as it should."""
        if anew:
            self._lent.clear()
        self._restore_wan()
        self._restart()
        for compute in self.computes:
            compute.ensure_running()
        servers = "/servers/detail?all_tenants=1"
        for server in self._ours("compute", servers, "servers"):
            self.api.delete("compute", f"/servers/{server['id']}")
        self._await_none("compute", servers, "servers")
        for what in ("snapshots", "volumes"):
            for each in self._ours("volume", f"/{what}/detail", what):
                self._delete(what, each)
            self._await_none("volume", f"/{what}/detail", what)
        if not self._lent:
            super().clear()

    def _delete(self, what, each):
        if each["status"] not in ("available", "error"):
            self.api.post("volume", f"/{what}/{each['id']}/action", {"os-reset_status": {"status": "error"}})
        try:
            self.api.delete("volume", f"/{what}/{each['id']}")
        except ApiError as error:
            if error.status != 404:
                raise

    def _all(self, service, path, what):
        return self.api.get(service, path)[what]

    def _ours(self, service, path, what):
        """All but what is lent."""
        lent = {identity for server in self._lent.values() for identity in (server.id, *server.disks)}
        return [each for each in self._all(service, path, what) if each["id"] not in lent]

    def _await_none(self, service, path, what):
        deadline = time.monotonic() + CLEAR_TIMEOUT
        while left := self._ours(service, path, what):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} stay: {[(each['id'], each['status']) for each in left]}")
            time.sleep(POLL)
