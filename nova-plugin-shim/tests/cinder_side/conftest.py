# SPDX-License-Identifier: Apache-2.0
"""The driver as cinder-volume makes it, with Cinder's real objects; qemu-img over NBD works on the fake relay's volumes,
and is the real one for files."""

import subprocess
import urllib.parse
import uuid
from pathlib import Path

import pytest
from cinder import context as cinder_context
from cinder import objects
from cinder.objects import fields
from cinder.volume import configuration
from cinder.volume import driver as cinder_driver
from oslo_config import cfg
from oslo_utils import importutils

DRIVER = "vmferry_openstack.cinder_driver.VmferryVolumeDriver"
NBD_SOCKET = "/run/vmferry/nbd.sock"

objects.register_all()


@pytest.fixture
def context():
    return cinder_context.RequestContext("user", "project", is_admin=True)


@pytest.fixture
def qemu_img(relay):
    return QemuImgOnFake(relay)


@pytest.fixture
def driver(relay, qemu_img, tmp_path):
    cfg.CONF.set_override("image_conversion_dir", str(tmp_path))
    backend = configuration.Configuration(cinder_driver.volume_opts, config_group="vmferry")
    made = importutils.import_object(DRIVER, configuration=backend, host="host-a@vmferry", execute=qemu_img)
    cfg.CONF.set_override("vmferry_relay_socket", relay.path, group="vmferry")
    made.do_setup(None)
    made.check_for_setup_error()
    relay.calls.clear()
    yield made
    cfg.CONF.reset()
    for option in ("vmferry_relay_socket", "vmferry_fetch_timeout", "reserved_percentage"):
        cfg.CONF.clear_override(option, group="vmferry")


@pytest.fixture
def new_volume():
    def make(size=1, **values):
        volume_type = objects.VolumeType(id=str(uuid.uuid4()), extra_specs={})
        values = {"multiattach": False, "encryption_key_id": None, "glance_metadata": {}, **values}
        volume = objects.Volume(
            id=str(uuid.uuid4()), size=size, status="available", volume_type=volume_type, _name_id=None, **{
                name: value for name, value in values.items() if name != "glance_metadata"
            }
        )
        volume.glance_metadata = values["glance_metadata"]
        return volume

    return make


@pytest.fixture
def new_snapshot():
    def make(volume):
        return objects.Snapshot(
            id=str(uuid.uuid4()), volume=volume, volume_size=volume.size, status=fields.SnapshotStatus.CREATING
        )

    return make


class QemuImgOnFake:
    """Called like cinder.utils.execute. `during` is called in the middle of a copy."""

    def __init__(self, relay):
        self._relay = relay
        self.commands = []
        self.standbys = []  # what was attached while each command ran
        self.error = None

    def during(self):
        pass

    def __call__(self, *command, **options):
        self.commands.append(list(command))
        assert not options.get("run_as_root")
        if command[0] != "qemu-img" or "nbd+unix" not in " ".join(command):
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout, ""
        self.standbys.append(sum(self._relay.standbys.values(), []))
        if self.error:
            raise self.error
        source, target = command[-2:]
        content = self._read(source)
        self.during()
        self._write(target, content, "--target-is-zero" in command)
        return "", ""

    def _volume(self, uri):
        parts = urllib.parse.urlsplit(uri)
        assert urllib.parse.parse_qs(parts.query) == {"socket": [NBD_SOCKET]}
        return self._relay.volumes[urllib.parse.unquote(parts.path[1:])]

    def _read(self, name):
        if not name.startswith("nbd+unix:"):
            return Path(name).read_bytes()
        volume = self._volume(name)
        reachable = volume.owner == self._relay.node or self.standbys[-1]
        assert reachable, f"{name} is not attached here"
        return volume.content

    def _write(self, name, content, target_is_zero):
        if not name.startswith("nbd+unix:"):
            Path(name).write_bytes(content)
            return
        volume = self._volume(name)
        assert len(content) <= volume.size
        assert not (target_is_zero and volume.content), "old content would shine through"
        volume.write(content)
