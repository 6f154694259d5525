# SPDX-License-Identifier: Apache-2.0
"""Two hosts on one machine with a WAN between them, real libvirtd and QEMU, and a guest that verifies its own disks."""
