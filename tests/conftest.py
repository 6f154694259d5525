# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests that use the lab, and what is shown and kept of it when one fails."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

# With `-n 3` three processes run tests, and each has its own lab. To be set before anything of the lab is imported.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER:
    os.environ["VMFERRY_LAB_DIR"] = f"/var/tmp/vmferry-lab-{WORKER}"

from lab import timeline  # noqa: E402
from lab.cluster import Cluster  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.passthrough import Passthrough  # noqa: E402
from lab.relays import Relays  # noqa: E402
from lab.timeline import folder_of  # noqa: E402

SHOWN_LINES = 80  # of the timeline, for a failed test

# The files that take longest (seven minutes to two), to be begun first: else the last worker has one of them when all
# others are done.
LONG = [
    "test_rollback", "test_packages", "test_migration", "test_faults", "test_rpm", "test_outages", "test_readme",
    "test_power_loss",
]  # fmt: skip


def pytest_addoption(parser):
    parser.addoption("--partitions", choices=["sample", "whole"], default="sample", help="which partition cases to run")
    parser.addoption("--partition-seed", type=int, default=1, help="what the sample of partition cases is drawn from")


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures, or looks at the whole machine; not beside other tests")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture
def lab(request):
    """A lab of its own for each test: it takes less than a second."""
    with Lab() as running:
        yield running
        timeline.keep(folder_of(request.node))


@pytest.fixture
def passthrough(lab):
    with Passthrough(lab) as storage:
        yield storage


@pytest.fixture(scope="module")
def _shared_cluster():
    with Cluster() as running:
        yield running


@pytest.fixture
def cluster(_shared_cluster, request):
    """vmferry on both hosts, as new for each test; the processes are shared by a module's tests, for their start
    takes seconds."""
    _shared_cluster.lab.note(f"---- {request.node.name}")
    yield _shared_cluster
    timeline.keep(folder_of(request.node))
    _shared_cluster.clear()


@pytest.fixture(scope="module")
def _shared_relays():
    with Relays() as running:
        yield running


@pytest.fixture
def relays(_shared_relays, request):
    """Two relays without agents; each test has volumes of its own and leaves both relays as it found them."""
    _shared_relays.lab.note(f"---- {request.node.name}")
    yield _shared_relays
    timeline.keep(folder_of(request.node))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed and {"lab", "cluster", "relays", "cloud"} & set(getattr(item, "funcargs", {})):
        entries = timeline.merged()[-SHOWN_LINES:]
        text = "\n".join(map(str, entries))
        report.sections.append((f"last {len(entries)} lines of both hosts (all: {folder_of(item)})", text))
    for name in {"cluster", "cloud"} & set(getattr(item, "funcargs", {})):
        if report.failed:
            report.sections.append(("what both relays say", item.funcargs[name].describe()))
