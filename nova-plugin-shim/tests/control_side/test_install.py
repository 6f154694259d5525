# SPDX-License-Identifier: Apache-2.0
"""The install script, with a Nova and a Cinder that are only folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = Path(__file__).resolve().parents[2] / "install"


def install(site, python=None):
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [INSTALL, *([python] if python else [])], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("packages, in_nova", [(["nova", "nova/virt"], True), (["cinder"], False)])
def test_goes_beside_what_is_there(tmp_path, packages, in_nova):
    for package in packages:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    if not in_nova:
        (tmp_path / "nova").mkdir()  # no Nova: a folder that hides the machine's own
        (tmp_path / "nova/__init__.py").touch()
    for _ in range(2):
        result = install(tmp_path)
        assert (result.returncode, result.stdout) == (0, f"installed in {tmp_path}\n"), result.stderr
    assert (tmp_path / "vmferry_openstack/cinder_driver.py").exists()
    assert (tmp_path / "nova/virt/vmferry.py").exists() == in_nova
    assert not (tmp_path / "nova/virt/vmferry.py").is_symlink()


def test_a_python_without_openstack_is_named(tmp_path):
    isolated = tmp_path / "python"
    isolated.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S \"$@\"\n")
    isolated.chmod(0o755)
    result = install(tmp_path, str(isolated))
    assert result.returncode == 1
    assert f"{isolated} has neither Nova nor Cinder" in result.stderr
