# SPDX-License-Identifier: Apache-2.0
"""Nova looks for compute drivers below nova.virt only, so this file is installed there:

compute_driver = vmferry.VmferryLibvirtDriver
"""

from vmferry_openstack.nova_driver import VmferryLibvirtDriver  # noqa: F401
