# SPDX-License-Identifier: Apache-2.0
"""The packages as files: what Debian's and RPM's own tools say of them."""

import re
import subprocess

import pytest

from lab import packages
from lab.container import TOOLS
from lab.installed import DEB
from lab.packaged import CONFIG, HOOK, RPM, assert_built
from lab.paths import REPOSITORY


@pytest.fixture(scope="module")
def built():
    packages.install_missing(TOOLS)
    assert_built()


def test_lintian_finds_no_error(built):
    report = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error", DEB], capture_output=True, text=True, check=False
    )
    print(report.stdout)
    assert report.returncode == 0, report.stdout
    assert "W:" not in re.sub("W: vmferry: (initial-upload|unknown-java-class-version).*", "", report.stdout)


def test_rpm_is_well_formed_and_has_the_files_of_the_deb(built):
    assert "digests OK" in subprocess.run(["rpm", "-K", RPM], capture_output=True, text=True, check=True).stdout
    rpm = set(subprocess.run(["rpm", "-qpl", RPM], capture_output=True, text=True, check=True).stdout.split())
    listing = subprocess.run(["dpkg-deb", "-c", DEB], capture_output=True, text=True, check=True).stdout
    deb = {line.split()[5].lstrip(".") for line in listing.splitlines() if not line.endswith("/")}
    # Debian's own papers and AppArmor; the default configuration is in its place in the RPM.
    only_deb = {
        "/etc/apparmor.d/abstractions/libvirt-qemu.d/vmferry",
        "/usr/share/doc/vmferry/changelog.Debian.gz",
        "/usr/share/doc/vmferry/copyright",
        "/usr/share/vmferry/vmferry.yaml",
    }
    assert deb - rpm == only_deb
    marked = subprocess.run(["rpm", "-qpc", RPM], capture_output=True, text=True, check=True).stdout.split()
    assert marked == [HOOK, CONFIG]


def test_the_selinux_module_compiles(built, tmp_path):
    source = REPOSITORY / "packaging/src/selinux/vmferry.te"
    subprocess.run(["checkmodule", "-M", "-m", "-o", tmp_path / "vmferry.mod", source], check=True)


def test_making_the_archive_of_classes_never_ends_a_relay_that_serves():
    """systemd ends a service whose ExecStartPost takes longer than TimeoutStartSec."""
    unit = (REPOSITORY / "packaging/src/common/vmferry-relay.service").read_text()
    minutes = re.search(r"^TimeoutStartSec=(\d+)min$", unit, re.M).group(1)
    kill, bound = re.search(r"^ExecStartPost=\+-/usr/bin/timeout --kill-after=(\d+) (\d+) /bin/sh ", unit, re.M).groups()
    assert int(bound) + int(kill) < int(minutes) * 60
