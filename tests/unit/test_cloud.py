# SPDX-License-Identifier: Apache-2.0
"""Parts of the cloud that need no OpenStack."""

import shutil
import subprocess

import pytest
from lab.paths import LAB

from cloud import config, memory
from cloud.server import guest_name

CLOUD = LAB.parent / "cloud"
PC_RAM = '{"qom-type":"memory-backend-ram","id":"pc.ram","size":%d}'


@pytest.fixture
def qemu(tmp_path):
    """Runs the script that stands before QEMU, and returns what QEMU would be given."""
    shutil.copy(CLOUD / "qemu-with-odd-ram", tmp_path / "qemu")
    (tmp_path / "qemu.real").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "qemu.real").chmod(0o755)
    return lambda *arguments: subprocess.run(
        [tmp_path / "qemu", *arguments], check=True, capture_output=True, text=True
    ).stdout.splitlines()


@pytest.mark.parametrize("size", ["192", "size=196608k"])
def test_a_guest_gets_ram_of_an_odd_size(qemu, size):
    given = qemu("-name", "a b", "-m", size, "-object", PC_RAM % (192 << 20))
    assert given == ["-name", "a b", "-m", f"size={(192 << 20) + 8192}B", "-object", PC_RAM % ((192 << 20) + 8192)]


def test_libvirts_questions_to_qemu_are_not_changed(qemu):
    assert qemu("-S", "-m", "16", "-machine", "none") == ["-S", "-m", "16", "-machine", "none"]


def test_scp_stands_for_a_copy_from_another_host(tmp_path):
    source = tmp_path / "hosta/root/var/lib/nova/instances/1"
    source.mkdir(parents=True)
    (source / "disk.config").write_text("drive")
    scp = tmp_path / "scp"
    scp.write_text((CLOUD / "scp-in-the-lab").read_text().replace("@LAB@", str(tmp_path)))
    subprocess.run(["bash", scp, "-C", "-r", "hosta:/var/lib/nova/instances/1/disk.config", tmp_path], check=True)
    assert (tmp_path / "disk.config").read_text() == "drive"


def test_a_guest_sees_the_first_characters_of_a_volumes_uuid():
    """QEMU cuts a virtio disk's serial; two names must not become one."""
    assert guest_name("0f0e0d0c-0b0a-4908-8706-050403020100") == "0f0e0d0c-0b0a-4908-8"


def test_too_little_memory_is_said(monkeypatch):
    monkeypatch.setattr(memory, "NEEDED", 1 << 30)
    assert "needs 1073741824 MiB" in memory.lacking()


def test_every_service_of_the_catalog_has_three_addresses():
    lines = config.catalog().splitlines()
    assert len(lines) == 4 * len(config.CATALOG)
    assert "catalog.lab.volumev3.publicURL = http://controller:8776/v3/$(tenant_id)s" in lines
