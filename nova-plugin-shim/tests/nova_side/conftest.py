# SPDX-License-Identifier: Apache-2.0
"""Nova's libvirt driver with ours in its place, and libvirt's own test hypervisor, which reads and writes domain XML as
the real one does."""

import uuid
from pathlib import Path

import libvirt
import nova.conf  # noqa: F401
import nova.virt
import pytest
from fake_relay import FakeRelay
from nova import objects
from nova.virt import driver as virt_driver
from nova.virt.libvirt import guest as libvirt_guest

SHIM = Path(__file__).resolve().parents[2]

# As the package installs it: one file among Nova's own drivers.
nova.virt.__path__.append(str(SHIM / "nova/virt"))
objects.register_all()

DOMAIN = """<domain type='test'>
  <name>instance-00000001</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
  <memory unit='MiB'>64</memory><os><type>hvm</type></os>
  <devices>{disks}</devices>
</domain>"""


@pytest.fixture
def agent(tmp_path):
    with FakeRelay(tmp_path / "agent.sock", node="host-b") as running:
        yield running


@pytest.fixture(scope="session")
def compute_driver():
    made = virt_driver.load_compute_driver(None, "vmferry.VmferryLibvirtDriver")
    # Keys of encrypted volumes, for which Nova would ask a libvirtd: there are none.
    made._host.find_secret = lambda usage_type, usage_id: None
    return made


@pytest.fixture
def volume_driver(compute_driver):
    return compute_driver._get_volume_driver({"driver_volume_type": "nbd"})


@pytest.fixture
def instance():
    return objects.Instance(uuid=str(uuid.uuid4()), flavor=objects.Flavor(extra_specs={}))


@pytest.fixture
def connection_info(tmp_path):
    return connection("volume-1", tmp_path)


def connection(name, run, serial="2bd3f2a1-0f2c-4b8e-a38c-6d5f0c3f8d11"):
    return {
        "driver_volume_type": "nbd",
        "serial": serial,
        "data": {
            "name": name,
            "socket": f"{run}/nbd.sock",
            "volume_id": serial,
            "access_mode": "rw",
            "discard": True,
            "encrypted": False,
        },
    }


class HotplugDomain:
    """A running domain of libvirt's test hypervisor, which keeps XML but can't plug: hot plugging is noted, and shows in
    the XML."""

    def __init__(self, domain):
        self._domain = domain
        self.plugged = []

    def attachDeviceFlags(self, xml, flags=0):
        self.plugged.append(xml)

    def detachDeviceFlags(self, xml, flags=0):
        self.plugged.append(xml)

    def __getattr__(self, name):
        return getattr(self._domain, name)


@pytest.fixture
def define():
    """define(XML of disks): a Guest of Nova whose domain libvirt has parsed."""
    connection = libvirt.open("test:///default")

    def make(disks):
        return libvirt_guest.Guest(HotplugDomain(connection.defineXML(DOMAIN.format(disks=disks))))

    yield make
    connection.close()
