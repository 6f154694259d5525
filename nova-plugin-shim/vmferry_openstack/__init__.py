# SPDX-License-Identifier: Apache-2.0
"""vmferry for OpenStack: a Cinder volume driver and what Nova needs to use its volumes.

cinder.conf:  volume_driver  = vmferry_openstack.cinder_driver.VmferryVolumeDriver
nova.conf:    compute_driver = vmferry.VmferryLibvirtDriver

Both ask the vmferry processes of their own host, over the Unix sockets below /run/vmferry.
"""

# What stands in connection_info as driver_volume_type, and in libvirt's XML as protocol.
NBD = "nbd"

# The same on every host: that is why a volume can be used on any of them.
RUN = "/run/vmferry"
NBD_SOCKET = RUN + "/nbd.sock"
RELAY_SOCKET = RUN + "/relay.sock"
AGENT_SOCKET = RUN + "/agent.sock"
