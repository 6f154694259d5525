# SPDX-License-Identifier: Apache-2.0
"""A server of the cloud whose guest is the lab's: it boots from a volume and verifies what is on its volumes."""

import contextlib
import os
import select
import threading

from lab.vm import Vm
from lab.waiting import wait_for

# Seconds. All generous: they end a test that hangs.
STATUS_TIMEOUT = 180
MIGRATION_TIMEOUT = 240
POLL = 0.5  # between questions to the API

ENDED = ("completed", "failed", "error", "cancelled")

SERIAL_LENGTH = 20  # what a guest sees of a disk's serial, which is the volume's UUID


def guest_name(volume):
    """The name by which the guest knows a Cinder volume."""
    return volume[:SERIAL_LENGTH]


class Server(Vm):
    """VOLUMES are UUIDs of Cinder volumes; the first is the root disk.

    Its console, its load's numbers and their meaning are those of any VM of the lab.
    """

    def __init__(self, cloud, identity, name, volumes):
        super().__init__(cloud.lab, [guest_name(volume) for volume in volumes], name=name)
        self._api = cloud.api
        self.id = identity
        self.title = name  # in the cloud; `name` becomes libvirt's
        self.disks = list(volumes)
        self._console_log = f"/var/lib/nova/instances/{identity}/console.log"

    # ---- what Nova says ----

    def show(self):
        return self._api.get("compute", f"/servers/{self.id}")["server"]

    @property
    def node(self):
        """The host that Nova has it on."""
        name = self.show()["OS-EXT-SRV-ATTR:host"]
        return next(host for host in self._lab.hosts if host.name == name)

    def await_status(self, status="ACTIVE"):
        """Waits until Nova has nothing to do with it any more, and it has this status."""

        def there():
            server = self.show()
            if server["status"] == "ERROR" != status:
                raise AssertionError(f"{self.title} is in error: {server.get('fault')}")
            return server["status"] == status and server["OS-EXT-STS:task_state"] is None

        wait_for(there, STATUS_TIMEOUT, f"{self.title} is {status}", POLL)
        self.name = self.show()["OS-EXT-SRV-ATTR:instance_name"]

    def await_load(self, boots=1):
        """Waits until the guest's load runs on the host that has the server."""
        self._await_line(self.node, "ready", boots, STATUS_TIMEOUT)
        self.await_stat(self.node, timeout=60)

    def act(self, action, arguments=None):
        return self._api.post("compute", f"/servers/{self.id}/action", {action: arguments})

    # ---- live migration ----

    def begin_migration(self, destination):
        self._lab.note(f"{self.title}: Nova is asked to migrate it to {destination.name}")
        before = len(self.migrations())
        self.act("os-migrateLive", {"host": destination.name, "block_migration": "auto"})
        wait_for(lambda: len(self.migrations()) > before, MIGRATION_TIMEOUT, f"Nova migrates {self.title}", POLL)

    def end_migration(self):
        """Waits for the newest migration's end and returns its status."""
        status = wait_for(self._ended, MIGRATION_TIMEOUT, f"the migration of {self.title} has ended", POLL)
        self.await_status()
        return status

    def live_migrate(self, destination):
        """Must succeed."""
        self.begin_migration(destination)
        status = self.end_migration()
        assert (status, self.node.name) == ("completed", destination.name), self.reason()

    def migrations(self):
        path = f"/os-migrations?instance_uuid={self.id}&migration_type=live-migration"
        return sorted(self._api.get("compute", path)["migrations"], key=lambda migration: migration["id"])

    def progress(self):
        """What Nova says of the migration under way; None if there is none."""
        under_way = self._api.get("compute", f"/servers/{self.id}/migrations")["migrations"]
        return under_way[0] if under_way else None

    def abort_migration(self):
        self._api.delete("compute", f"/servers/{self.id}/migrations/{self.progress()['id']}")

    def force_complete(self):
        path = f"/servers/{self.id}/migrations/{self.progress()['id']}/action"
        self._api.post("compute", path, {"force_complete": None})

    def reason(self):
        """Why the newest live migration failed, as `openstack server event show` has it. The tracebacks of its events
        hold no messages."""
        path = f"/servers/{self.id}/os-instance-actions"
        actions = [a for a in self._api.get("compute", path)["instanceActions"] if a["action"] == "live-migration"]
        events = self._api.get("compute", f"{path}/{actions[0]['request_id']}")["instanceAction"]["events"]
        return "\n".join(event["details"] or "" for event in events if event["result"] == "Error")

    def _ended(self):
        newest = self.migrations()[-1]
        return newest["status"] if newest["status"] in ENDED else None

    # ---- volumes ----

    def attach(self, volume):
        """Plugs a volume in and puts it under load."""
        attachment = {"volumeAttachment": {"volumeId": volume}}
        self._api.post("compute", f"/servers/{self.id}/os-volume_attachments", attachment)
        self._await_volume(volume, "in-use")
        node = self.node

        def taken():
            self.command(node, "take")
            return self.lines(node, "take")[-1]["disks"] == "1"

        wait_for(taken, STATUS_TIMEOUT, f"the guest of {self.title} sees its new disk", POLL)
        self.disks.append(volume)
        self.volumes.append(guest_name(volume))

    def detach_last(self):
        """Takes the volume that came last from the guest's load, and unplugs it."""
        volume = self.disks.pop()
        self.volumes.pop()
        self.command(self.node, "drop")
        self._api.delete("compute", f"/servers/{self.id}/os-volume_attachments/{volume}")
        self._await_volume(volume, "available")
        return volume

    def _await_volume(self, volume, status):
        def there():
            return self._api.get("volume", f"/volumes/{volume}")["volume"]["status"] == status

        wait_for(there, STATUS_TIMEOUT, f"volume {volume} is {status}", POLL)

    # ---- console ----

    @contextlib.contextmanager
    def _typed(self, host, line):
        """The console is a terminal that QEMU also writes to: what it writes is thrown away, the log has it."""
        path = host.virsh("ttyconsole", self.name)
        terminal = os.open(host.root / path.lstrip("/"), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        ended = threading.Event()
        reader = threading.Thread(target=_discard, args=(terminal, ended), name="console", daemon=True)
        reader.start()
        try:
            os.write(terminal, f"{line}\n".encode())
            yield
        finally:
            ended.set()
            reader.join()
            os.close(terminal)


def _discard(terminal, ended):
    while not ended.is_set():
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:  # its QEMU has ended
                return
