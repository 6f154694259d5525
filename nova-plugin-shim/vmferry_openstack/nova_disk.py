# SPDX-License-Identifier: Apache-2.0
"""What Nova's class for a guest's disk lacks: a Unix socket as transport, and what QEMU does after an I/O error.

Nova reads libvirt's XML back into that class and writes it again whenever a volume is detached, so a subclass that only
writes is not enough: the class itself learns to read and to write both. Disks without them are not touched.
"""

from lxml import etree
from nova.virt.libvirt import config

# Attributes of a disk; None or absent: as Nova has always done.
SOCKET = "vmferry_socket"
ERROR_POLICY = "vmferry_error_policy"
READ_ERROR_POLICY = "vmferry_rerror_policy"


def extend_disk_class(disk=config.LibvirtConfigGuestDisk):
    """Teaches Nova's class; once is enough, and more than once does nothing."""
    if getattr(disk, "vmferry_extended", False):
        return
    parse, write = disk.parse_dom, disk.format_dom

    def parse_dom(self, xmldoc):
        parse(self, xmldoc)
        _read(self, xmldoc)

    def format_dom(self):
        return _write(self, write(self))

    disk.parse_dom = parse_dom
    disk.format_dom = format_dom
    setattr(disk, SOCKET, None)
    setattr(disk, ERROR_POLICY, None)
    setattr(disk, READ_ERROR_POLICY, None)
    disk.vmferry_extended = True


def _read(disk, element):
    driver = element.find("driver")
    if driver is not None:
        setattr(disk, ERROR_POLICY, driver.get("error_policy"))
        setattr(disk, READ_ERROR_POLICY, driver.get("rerror_policy"))
    host = element.find("source/host[@transport='unix']")
    if host is not None:
        setattr(disk, SOCKET, host.get("socket"))
        # Nova has taken the host for one with name and port, and couldn't write it.
        disk.source_hosts = []
        disk.source_ports = []


def _write(disk, element):
    socket = getattr(disk, SOCKET)
    if socket is not None:
        etree.SubElement(element.find("source"), "host", transport="unix", socket=socket)
    for name, attribute in (("error_policy", ERROR_POLICY), ("rerror_policy", READ_ERROR_POLICY)):
        policy = getattr(disk, attribute)
        if policy is not None:
            element.find("driver").set(name, policy)
    return element
