# SPDX-License-Identifier: Apache-2.0
"""The cloud that all tests of this folder use one after the other: its start takes minutes."""

import pytest
from lab import timeline
from lab.traces import Traces

from cloud import memory, packages
from cloud.cloud import Cloud


@pytest.fixture(scope="session")
def _shared_cloud():
    if problem := memory.lacking():
        pytest.skip(f"no OpenStack on this machine: {problem}")
    packages.install_missing()
    before = Traces()
    with Cloud() as running:
        yield running
    assert Traces() == before, "the cloud has left something behind"


@pytest.fixture
def cloud(_shared_cloud, request):
    """OpenStack with vmferry on both compute hosts, without servers and volumes."""
    _shared_cloud.lab.note(f"---- {request.node.name}")
    yield _shared_cloud
    timeline.keep(timeline.folder_of(request.node))
    _shared_cloud.clear()
