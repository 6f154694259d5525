# SPDX-License-Identifier: Apache-2.0
"""What a move leaves in the logs of relays and agents: each line says what it is about, so that one search finds them all."""

import re


def test_each_line_of_a_move_names_volume_epoch_peer_and_migration(cluster):
    vm = cluster.start_vm(disks=2)
    domain = cluster.a.virsh("domuuid", vm.name)
    logs = [node.service(name).log for node in cluster.product.nodes for name in ("relay", "agent")]
    began = [log.stat().st_size for log in logs]
    vm.migrate(cluster.a, cluster.b)
    cluster.assert_moved(vm, cluster.a, cluster.b)
    lines = [
        f"{log.parent.parent.name} {log.stem}: {line}"
        for log, begin in zip(logs, began, strict=True)
        for line in log.read_bytes()[begin:].decode().splitlines()
    ]
    print("\n".join(lines))
    # A connection to a peer is no volume's, and the NBD server knows exports, not epochs.
    about = [line for line in lines if " ConnectionKeeper: " not in line and ": NBD client " not in line]
    nameless = [
        line
        for line in about
        if not re.search(rf" volume={vm.name.replace('vm', 'vol')}[ab] epoch=[12]@host[ab] peer=host[ab] ", line)
        or not line.endswith(f" migration={domain}")
    ]
    assert not nameless
    for process in ("hosta relay", "hosta agent", "hostb relay", "hostb agent"):
        assert any(line.startswith(f"{process}: ") for line in about), f"nothing of {process}"
