# SPDX-License-Identifier: Apache-2.0
"""The Cinder volume driver.

A Cinder volume is a vmferry volume of the same name (volume-UUID), a snapshot too (snapshot-UUID). All that is asked for
goes to the relay of the host that cinder-volume runs on; it finds the node that owns the volume, so it doesn't matter
where a server has taken its disk.

Snapshots and clones are full copies that leave out zeroes. They are made over NBD, on this host, and the relay proves
that nothing was written meanwhile; a volume that a server is writing to can't be copied.
"""

import contextlib
import math
import time
import uuid

from cinder import exception
from cinder import interface
from cinder import utils
from cinder.image import image_utils
from cinder.volume import driver
from cinder.volume import volume_utils
from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import excutils
from oslo_utils import units

import vmferry_openstack
from vmferry_openstack.control_api import ControlError
from vmferry_openstack.control_api import RelayClient
from vmferry_openstack.qemu_img import QemuImg

LOG = logging.getLogger(__name__)

OPTIONS = [
    cfg.StrOpt(
        "vmferry_relay_socket",
        default=vmferry_openstack.RELAY_SOCKET,
        help="Control socket of the vmferry relay on this host.",
    ),
    cfg.StrOpt(
        "vmferry_nbd_socket",
        default=vmferry_openstack.NBD_SOCKET,
        help="NBD socket of the vmferry relay; it must have this path on every host.",
    ),
    cfg.IntOpt(
        "vmferry_fetch_timeout",
        default=3600,
        min=0,
        help="Seconds to wait for a volume that is still being copied after a migration before it is extended.",
    ),
]

# Between looks whether a volume is complete.
FETCH_POLL = 2  # seconds


@interface.volumedriver
class VmferryVolumeDriver(driver.VolumeDriver):
    """Volumes that follow their servers from host to host, without shared storage."""

    VERSION = "0.1.0"

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("execute", utils.execute)
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)
        self._relay = None
        self._images = None

    @staticmethod
    def get_driver_options():
        return OPTIONS

    # ---- start

    def do_setup(self, context):
        self._relay = RelayClient(self.configuration.vmferry_relay_socket)
        self._images = QemuImg(self._execute, self.configuration.vmferry_nbd_socket)

    def check_for_setup_error(self):
        with _backend_errors("the backend can't start"):
            node = self._relay.status()["node"]
        LOG.info("new volumes are made on vmferry node %s", node)

    # ---- volumes

    def create_volume(self, volume):
        _refuse_unsupported(volume)
        with _backend_errors(f"volume {volume.name} was not made"):
            self._relay.create(volume.name, _bytes(volume.size))

    def delete_volume(self, volume):
        self._delete(volume.name, exception.VolumeIsBusy)

    def extend_volume(self, volume, new_size):
        with _backend_errors(f"volume {volume.name} was not extended"):
            self._await_complete(volume.name)
            self._relay.extend(volume.name, _bytes(new_size))

    def _await_complete(self, name):
        deadline = time.monotonic() + self.configuration.vmferry_fetch_timeout
        while self._relay.location(name)["state"] == "FETCHING" and time.monotonic() < deadline:
            time.sleep(FETCH_POLL)
        # If it is still fetching, the relay's refusal says from where.

    # ---- copies

    def create_snapshot(self, snapshot):
        with _backend_errors(f"{snapshot.name} of {snapshot.volume.name} was not made"):
            self._copy(snapshot.volume.name, snapshot.name, snapshot.volume_size)

    def delete_snapshot(self, snapshot):
        self._delete(snapshot.name, exception.SnapshotIsBusy)

    def create_volume_from_snapshot(self, volume, snapshot):
        _refuse_unsupported(volume)
        with _backend_errors(f"volume {volume.name} was not made from {snapshot.name}"):
            self._copy(snapshot.name, volume.name, volume.size)

    def create_cloned_volume(self, volume, src_vref):
        _refuse_unsupported(volume)
        with _backend_errors(f"volume {volume.name} was not made from {src_vref.name}"):
            self._copy(src_vref.name, volume.name, volume.size)

    def _copy(self, source, target, size):
        with self._unchanged(source) as location:
            # The source may be larger than Cinder knows, if somebody extended it by hand.
            self._relay.create(target, max(_bytes(size), location["size"]))
            with self._discarded_on_error(target):
                self._images.copy(source, target)
                # Inside: a copy of something that changed goes as well.
                self._require_unchanged(source, location)

    @contextlib.contextmanager
    def _unchanged(self, name):
        """Makes the volume readable here while the body runs; yields its location."""
        location = self._relay.location(name)
        if location["clients"] > 0:
            raise ControlError("IN_USE", f"{name} is in use; stop the server that uses it first")
        if location["local"]:
            yield location
            return
        purpose = str(uuid.uuid4())
        self._relay.attach(name, purpose)
        try:
            yield location
        finally:
            try:
                self._relay.drop(purpose)
            except ControlError as e:
                # The agent drops a standby that no domain uses after a minute.
                LOG.info("the standby of %s is left to the vmferry agent: %s", name, e)

    def _require_unchanged(self, name, before):
        """A copy counts only if nothing was written, and nobody else became owner, since it was begun."""
        if self._relay.location(name)["content"] != before["content"]:
            raise ControlError(
                "REFUSED", f"{name} was written to while it was copied; stop the server that uses it, then try again"
            )

    @contextlib.contextmanager
    def _discarded_on_error(self, name):
        """The volume that the body fills goes if the body fails."""
        try:
            yield
        except Exception:
            with excutils.save_and_reraise_exception():
                try:
                    self._relay.delete(name)
                except ControlError as e:
                    LOG.error("the unfinished copy %s stays: %s", name, e)

    def _delete(self, name, busy):
        """Deletes a volume; one that is nowhere is deleted already. BUSY is raised if something has it open."""
        try:
            self._relay.delete(name)
        except ControlError as e:
            if e.code == "NOT_FOUND":
                LOG.warning("%s is on no node; nothing to delete", name)
            elif e.code == "IN_USE":
                raise busy(f"{name} was not deleted: {e}") from e
            else:
                raise exception.VolumeBackendAPIException(data=f"{name} was not deleted: {e}") from e

    # ---- images

    def copy_image_to_volume(self, context, volume, image_service, image_id, disable_sparse=False):
        """DISABLE_SPARSE comes from newer Cinder: what is not written to a new volume reads as zeroes here."""
        with image_utils.temporary_file(prefix="vmferry_") as file:
            image_utils.fetch_to_raw(
                context,
                image_service,
                image_id,
                file,
                self.configuration.volume_dd_blocksize,
                size=volume.size,
                run_as_root=False,
            )
            with _backend_errors(f"image {image_id} was not copied to volume {volume.name}"):
                self._refill(volume)
                self._images.fill(volume.name, file)

    def _refill(self, volume):
        """The volume must be all zeroes: it has been written to if Cinder tries for the second time, or reimages it."""
        location = self._relay.location(volume.name)
        if location["clients"] > 0:
            raise ControlError("IN_USE", f"{volume.name} is in use; stop the server that uses it first")
        if location["allocated"] > 0:
            self._relay.delete(volume.name)
            self._relay.create(volume.name, location["size"])

    def copy_image_to_encrypted_volume(self, context, volume, image_service, image_id, disable_sparse=False):
        raise _encryption_unsupported(volume)

    def copy_volume_to_image(self, context, volume, image_service, image_meta):
        with image_utils.temporary_file(prefix="vmferry_") as file:
            with _backend_errors(f"volume {volume.name} was not copied to an image"):
                with self._unchanged(volume.name) as location:
                    self._images.copy_out(volume.name, file)
                    self._require_unchanged(volume.name, location)
            volume_utils.upload_volume(context, image_service, image_meta, file, volume, run_as_root=False)

    # ---- connections

    def initialize_connection(self, volume, connector, initiator_data=None):
        """Never asks and never refuses: a refusal here, for the destination of a live migration, would leave an
        attachment reserved for ever. Whether the host can serve the volume is asked by Nova's side, on that host."""
        return {
            "driver_volume_type": vmferry_openstack.NBD,
            "data": {
                "name": volume.name,
                "socket": self.configuration.vmferry_nbd_socket,
                "volume_id": volume.id,
                "access_mode": "rw",
                "discard": True,
                "encrypted": False,
            },
        }

    def terminate_connection(self, volume, connector, **kwargs):
        """Nothing to end: the relay knows who has a volume open, and a peer may still fetch from here."""

    def create_export(self, context, volume, connector):
        """Nothing: every relay serves every volume."""

    def ensure_export(self, context, volume):
        """Nothing: every relay serves every volume."""

    def remove_export(self, context, volume):
        """Nothing: every relay serves every volume."""

    # ---- statistics

    def _update_volume_stats(self):
        with _backend_errors("its statistics are not known"):
            capacity = self._relay.capacity()
            volumes = self._relay.status()["volumes"]
        owned = [volume for volume in volumes if volume["state"] in ("SERVING", "FETCHING")]
        self._stats = {
            "volume_backend_name": self.configuration.safe_get("volume_backend_name") or "vmferry",
            "vendor_name": "vmferry",
            "driver_version": self.VERSION,
            "storage_protocol": vmferry_openstack.NBD,
            "total_capacity_gb": _gigabytes(capacity["total"]),
            "free_capacity_gb": _gigabytes(capacity["free"]),
            "provisioned_capacity_gb": _gigabytes(sum(volume["size"] for volume in owned)),
            "allocated_capacity_gb": _gigabytes(sum(volume["allocated"] for volume in owned)),
            "max_over_subscription_ratio": self.configuration.max_over_subscription_ratio,
            "reserved_percentage": self.configuration.reserved_percentage,
            "thin_provisioning_support": True,
            "thick_provisioning_support": False,
            # A running server sees the new size at its next start.
            "online_extend_support": True,
            "multiattach": False,
            "QoS_support": False,
            "filter_function": self.get_filter_function(),
            "goodness_function": self.get_goodness_function(),
        }


@contextlib.contextmanager
def _backend_errors(what):
    """Turns a refusal of the relay into Cinder's exception, which says WHAT failed and why."""
    try:
        yield
    except ControlError as e:
        raise exception.VolumeBackendAPIException(data=f"{what}: {e}") from e


def _refuse_unsupported(volume):
    if volume.encryption_key_id:
        raise _encryption_unsupported(volume)
    if volume.multiattach:
        raise exception.VolumeDriverException(
            message=f"volume {volume.name} can't be attached to several servers: vmferry has one writer per volume; "
            "choose a volume type without multiattach"
        )


def _encryption_unsupported(volume):
    return exception.VolumeDriverException(
        message=f"volume {volume.name} can't be encrypted by Cinder: choose a volume type without encryption, "
        "and encrypt inside the server or below /var/lib/vmferry"
    )


def _bytes(gigabytes):
    return int(gigabytes) * units.Gi


def _gigabytes(size):
    return math.floor(size / units.Gi * 100) / 100
