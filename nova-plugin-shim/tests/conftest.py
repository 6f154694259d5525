# SPDX-License-Identifier: Apache-2.0
"""The tests' Cinder, Nova and relay. Cinder and Nova have options of the same names, so each has a process of its own:
tests/run passes all of them."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import debian  # noqa: E402

debian.install_missing()

from fake_relay import FakeRelay  # noqa: E402


@pytest.fixture
def relay(tmp_path):
    with FakeRelay(tmp_path / "relay.sock") as running:
        yield running
