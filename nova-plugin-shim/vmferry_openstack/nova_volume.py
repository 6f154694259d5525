# SPDX-License-Identifier: Apache-2.0
"""How Nova's libvirt driver connects a vmferry volume."""

import os

from nova import exception
from nova.virt.libvirt.volume import volume as base
from oslo_log import log as logging

import vmferry_openstack
from vmferry_openstack import nova_disk
from vmferry_openstack.control_api import AgentClient
from vmferry_openstack.control_api import ControlError

LOG = logging.getLogger(__name__)

# A stopped relay pauses the server instead of giving it an I/O error; the agent resumes it.
ERROR_POLICY = "stop"


class VmferryVolumeDriver(base.LibvirtBaseVolumeDriver):
    """Disks over NBD on the relay's Unix socket, whose path is the same on every host."""

    def __init__(self, host):
        super().__init__(host, is_block_dev=False)

    def get_config(self, connection_info, disk_info):
        nova_disk.extend_disk_class()
        data = connection_info["data"]
        conf = super().get_config(connection_info, disk_info)
        conf.source_type = "network"
        conf.source_protocol = vmferry_openstack.NBD
        conf.source_name = data["name"]
        setattr(conf, nova_disk.SOCKET, data["socket"])
        setattr(conf, nova_disk.ERROR_POLICY, ERROR_POLICY)
        setattr(conf, nova_disk.READ_ERROR_POLICY, ERROR_POLICY)
        return conf

    def connect_volume(self, connection_info, instance):
        """Asks whether the volume can be served on this host. A refusal ends a live migration cleanly: the server stays
        where it is, and the reason stands in the server's events."""
        data = connection_info["data"]
        agent = AgentClient(_agent_socket(data["socket"]))
        try:
            agent.require_servable(data["name"])
        except ControlError as e:
            raise exception.VolumeAttachFailed(volume_id=data["volume_id"], reason=f"vmferry: {e}") from e
        LOG.info("vmferry volume %s can be used here", data["name"], instance=instance)

    def disconnect_volume(self, connection_info, instance, force=False):
        """There is nothing to undo, however often and for whatever volume this is called: connect_volume changes nothing,
        the relay sees by itself that QEMU has gone, and after a migration a peer may still fetch from here."""
        LOG.debug("vmferry volume %s is not used here any more", connection_info["data"]["name"], instance=instance)

    def extend_volume(self, connection_info, instance, requested_size):
        """QEMU can't resize a disk that it has over NBD: the server sees the new size when it has been stopped and
        started."""
        raise NotImplementedError()


def _agent_socket(nbd_socket):
    """The agent listens beside the relay."""
    return os.path.join(os.path.dirname(nbd_socket), os.path.basename(vmferry_openstack.AGENT_SOCKET))
