# SPDX-License-Identifier: Apache-2.0
"""The package python3-vmferry-openstack: installed by dpkg beside Debian's Nova and Cinder, used as they use it, removed.

The machine keeps nothing of it: what is installed goes to folders that lie over the machine's, in a mount namespace.
"""

import re
import subprocess
from pathlib import Path

import pytest
from lab import packages

SHIM = Path(__file__).resolve().parents[2]
DEB = SHIM / "target/python3-vmferry-openstack.deb"
NAME = "python3-vmferry-openstack"
SITE = "/usr/lib/python3/dist-packages"

LAID_OVER = ["/usr", "/var/lib/dpkg"]

# vmferry itself, which the package needs, is tested elsewhere.
DPKG = "dpkg --log=/dev/null --ignore-depends=vmferry"

NOVA = """
import nova.conf
from nova import objects
from nova.virt import driver
objects.register_all()
made = driver.load_compute_driver(None, "vmferry.VmferryLibvirtDriver")
print(type(made).__module__, made._get_volume_driver({"driver_volume_type": "nbd"}).__class__.__module__)
"""

CINDER = """
from cinder import objects
from cinder.volume import configuration, driver
from oslo_utils import importutils
objects.register_all()
backend = configuration.Configuration(driver.volume_opts, config_group="vmferry")
name = "vmferry_openstack.cinder_driver.VmferryVolumeDriver"
made = importutils.import_object(name, configuration=backend, host="h@v")
print(type(made).__module__, made.configuration.vmferry_nbd_socket)
"""


@pytest.fixture(scope="module", autouse=True)
def built():
    packages.install_missing({"/usr/bin/lintian": "lintian"})
    assert DEB.exists(), f"{DEB} is not built: run mvn -B package -DskipTests"


def in_a_copy_of_the_machine(folder, script):
    """Runs a shell script where the machine's folders can be changed and aren't."""
    lines = ["set -e"]
    for number, path in enumerate(LAID_OVER):
        upper, work = folder / f"upper{number}", folder / f"work{number}"
        upper.mkdir()
        work.mkdir()
        lines.append(f"mount -t overlay -o lowerdir={path},upperdir={upper},workdir={work} overlay {path}")
    lines += ["cd /", script]
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_lintian_finds_nothing():
    report = subprocess.run(["lintian", "--allow-root", DEB], capture_output=True, text=True, check=False)
    assert re.sub(rf"W: {NAME}: initial-upload.*\n", "", report.stdout) == "", report.stdout
    assert report.returncode == 0, report.stderr


def test_it_has_all_that_the_install_script_installs():
    listing = subprocess.run(["dpkg-deb", "--contents", DEB], capture_output=True, text=True, check=True).stdout
    files = {line.split()[5].lstrip(".") for line in listing.splitlines() if not line.endswith("/")}
    drivers = {f"{SITE}/vmferry_openstack/{file.name}" for file in (SHIM / "vmferry_openstack").glob("*.py")}
    assert {file for file in files if not file.startswith("/usr/share/doc/")} == drivers | {f"{SITE}/nova/virt/vmferry.py"}


def test_nova_and_cinder_find_their_drivers_until_it_is_removed(tmp_path):
    (tmp_path / "nova.py").write_text(NOVA)
    (tmp_path / "cinder.py").write_text(CINDER)
    result = in_a_copy_of_the_machine(
        tmp_path,
        f"""
{DPKG} --install {DEB} >&2
test -e {SITE}/vmferry_openstack/__pycache__
/usr/bin/python3 -B -P {tmp_path}/nova.py
/usr/bin/python3 -B -P {tmp_path}/cinder.py
{DPKG} --remove {NAME} >&2
test ! -e {SITE}/vmferry_openstack
ls {SITE}/nova/virt | grep vmferry >&2 && exit 1
exit 0
""",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "vmferry_openstack.nova_driver vmferry_openstack.nova_volume",
        "vmferry_openstack.cinder_driver /run/vmferry/nbd.sock",
    ]
    assert not Path(SITE, "vmferry_openstack").exists(), "the machine itself has it now"
