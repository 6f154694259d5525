# SPDX-License-Identifier: Apache-2.0
"""What the move is for: when it is complete, nothing of the source is needed any more."""

from lab.cluster import Cluster
from lab.waiting import wait_for


def test_source_host_killed_after_completion():
    with Cluster() as cluster:  # of its own: there is no way back for a host
        vm = cluster.start_vm()
        [volume] = vm.volumes
        vm.migrate(cluster.a, cluster.b)
        cluster.await_state(cluster.b, volume, "SERVING")
        cluster.await_gone(cluster.a, volume)
        kill_everything(cluster)
        vm.await_stat(cluster.b, 3)
        cluster.assert_intact(vm, cluster.b)


def kill_everything(cluster):
    """Every process of the first host but its process 1, which holds the lab's namespaces, and its network."""
    cluster.wan.cut()
    cluster.a.run(["sh", "-c", "kill -KILL -1"], check=False)
    wait_for(lambda: not any(map(cluster.product.a.running, ("relay", "agent"))), 10, "the first host is dead")
