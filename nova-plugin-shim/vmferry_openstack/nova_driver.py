# SPDX-License-Identifier: Apache-2.0
"""Nova's libvirt driver with vmferry volumes. Everything else is Nova's own."""

from nova.virt.libvirt import driver

import vmferry_openstack
from vmferry_openstack import nova_disk

VOLUME_DRIVER = "vmferry_openstack.nova_volume.VmferryVolumeDriver"


def register():
    """Makes the type `nbd` of connection_info known to Nova's libvirt driver."""
    nova_disk.extend_disk_class()
    driver.VOLUME_DRIVERS[vmferry_openstack.NBD] = VOLUME_DRIVER


class VmferryLibvirtDriver(driver.LibvirtDriver):
    """compute_driver = vmferry.VmferryLibvirtDriver"""

    def __init__(self, virtapi, read_only=False):
        register()
        super().__init__(virtapi, read_only)
