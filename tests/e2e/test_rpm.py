# SPDX-License-Identifier: Apache-2.0
"""The RPM in another root, and then as an operator meets it: on a Debian that has a group qemu, as the distributions have
that the RPM is for. Their libvirt and Java are in dpkg's database, not in rpm's: that is what --nodeps is for.

The tests are one story: install while no systemd runs, boot, use, upgrade, remove.
"""

import os
import subprocess

import pytest

from lab import packages
from lab.container import CACHE, TOOLS, Container
from lab.packaged import (
    CONFIG,
    QEMU_USER,
    RPM,
    UNITS,
    VOLUME,
    Guest,
    archive_of,
    assert_built,
    create_volume,
    maps,
    read_pattern,
    set_up,
    show,
)

NEEDED = ["default-jre-headless", "curl", "libvirt-daemon-system", "qemu-utils", "rpm"]


@pytest.fixture(scope="module")
def installed():
    """By the machine's rpm, in another root."""
    packages.install_missing(TOOLS)
    assert_built()
    with Container(CACHE / "rpm-root", NEEDED) as container:
        container.run(["groupadd", "--system", "qemu"])
        container.run(["usermod", "-aG", "qemu", QEMU_USER])
        container.copy_in(RPM, "/vmferry.rpm")
        done = subprocess.run(
            ["rpm", "--root", str(container.root), "--nodeps", "-i", RPM], check=True, capture_output=True, text=True
        )
        assert "fail" not in done.stderr.lower(), done.stderr
        yield container


@pytest.fixture(scope="module")
def node(installed):
    set_up(installed)
    create_volume(installed)
    return installed


def test_it_installs_in_another_root(installed):
    assert installed.groups_of("vmferry") == {"vmferry", "qemu"}
    assert installed.groups_of("vmferry-agent") == {"vmferry-agent", "vmferry", "libvirt"}
    assert "nbd-socket-group: qemu" in installed.file(CONFIG).read_text()


def test_relay_and_agent_run_as_their_users_from_the_archive(node):
    """In a root without /proc Java could not make the archive: the relay's first start did, after it served."""
    node.run(["systemctl", "restart", *UNITS])
    for unit, user in (("vmferry-relay", "vmferry"), ("vmferry-agent", "vmferry-agent")):
        pid = show(node, unit, "MainPID")
        uid = node.run(["id", "-u", user]).stdout.strip()
        assert f"Uid:\t{uid}\t{uid}\t" in node.run(["cat", f"/proc/{pid}/status"]).stdout
        assert maps(node, pid, archive_of(node))
    assert read_pattern(node) == 0


def test_an_archive_of_a_java_that_was_built_again_is_replaced(node):
    """Updates of these distributions may keep the name of a build. The relay's next start makes the archive, after it serves."""
    archive = archive_of(node)
    node.run(["systemctl", "restart", "vmferry-relay"])
    made_for = node.file(f"{archive}.of").read_text()
    modules = node.run(["sh", "-c", ". /usr/share/vmferry/java.sh; echo $home/lib/modules"]).stdout.strip()
    seconds = node.file(modules).stat().st_mtime
    node.run(["touch", "--date=@1", modules])
    try:
        node.run(["systemctl", "restart", "vmferry-relay"])
        assert archive_of(node) == archive and node.file(f"{archive}.of").read_text() != made_for, "made anew"
        node.run(["systemctl", "restart", "vmferry-relay"])
        assert maps(node, show(node, "vmferry-relay", "MainPID"), archive)
    finally:
        os.utime(node.file(modules), (seconds, seconds))
    node.run(["systemctl", "restart", "vmferry-relay"])


def test_an_upgrade_replaces_the_agent_but_no_relay_that_has_guests(node):
    """The same package once more: to its scripts that is an upgrade."""
    before = {unit: show(node, unit, "MainPID") for unit in UNITS}
    with Guest(node) as guest:
        output = upgrade(node)
        assert show(node, "vmferry-relay", "MainPID") == before["vmferry-relay"]
        assert show(node, "vmferry-agent", "MainPID") != before["vmferry-agent"]
        assert "the relay was not restarted: guests use its volumes" in output
        assert guest.read() == "read 4096", "the guest's connection was not touched"
    upgrade(node)
    assert show(node, "vmferry-relay", "MainPID") != before["vmferry-relay"], "nobody uses it: it is renewed"
    assert "node: host-a" in node.file(CONFIG).read_text(), "the configuration is the operator's"
    assert read_pattern(node) == 0


def test_a_removal_is_refused_while_a_guest_is_connected(node):
    with Guest(node) as guest:
        removal = node.run(["rpm", "-e", "vmferry"], check=False)
        assert removal.returncode != 0
        assert "not removed: vmferry-relay runs and guests use its volumes" in removal.stdout + removal.stderr
        assert guest.read() == "read 4096"
    assert show(node, "vmferry-relay", "ActiveState") == "active"


def test_a_removal_keeps_volumes_and_configuration(node):
    output = node.run(["rpm", "-e", "vmferry"]).stdout
    assert "the volumes stay in /var/lib/vmferry/volumes" in output
    assert not node.file("/usr/bin/vmferry").exists()
    assert node.file(f"/var/lib/vmferry/volumes/{VOLUME}/data").exists()
    assert node.file(f"{CONFIG}.rpmsave").exists()
    assert show(node, "vmferry-relay", "ActiveState") == "inactive"


def upgrade(node):
    done = node.run(["rpm", "-U", "--nodeps", "--force", "/vmferry.rpm"])
    return done.stdout + done.stderr
