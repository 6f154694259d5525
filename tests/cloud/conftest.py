# SPDX-License-Identifier: Apache-2.0
"""The cloud that all tests of this folder use one after the other: its start takes minutes."""

import pytest
from lab import timeline
from lab.traces import Traces

from cloud import memory, packages
from cloud.cloud import Cloud

FAILED = pytest.StashKey()


@pytest.fixture(scope="session")
def _shared_cloud():
    if problem := memory.lacking():
        pytest.skip(f"no OpenStack on this machine: {problem}")
    packages.install_missing()
    before = Traces()
    with Cloud() as running:
        yield running
    assert vars(Traces()) == vars(before), "the cloud has left something behind, or another lab is there"


@pytest.fixture(scope="module")
def _lending_cloud(_shared_cloud):
    """Servers are lent within a module, no longer: a host that is emptied has no servers of others."""
    yield _shared_cloud
    _shared_cloud.clear(anew=True)


@pytest.fixture
def cloud(_lending_cloud, request):
    """OpenStack with vmferry on both compute hosts, without servers and volumes but those that it lends."""
    _lending_cloud.lab.note(f"---- {request.node.name}")
    yield _lending_cloud
    timeline.keep(timeline.folder_of(request.node))
    _lending_cloud.clear(anew=request.node.stash.get(FAILED, False))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    if (yield).get_result().failed:
        item.stash[FAILED] = True
