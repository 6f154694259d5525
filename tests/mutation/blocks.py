# SPDX-License-Identifier: Apache-2.0
"""Faults in what a replica holds and in the order of its writes."""

from .mutant import MATRIX, SIMULATION, mutant, mutant_of_two

ORDER_OF_BITS = (
    mutant(
        "guest of a full disk reads from the file what is not there",
        "volume/ReadThrough.java",
        "      if (held.has(block, block + 1)) {\n",
        "      if (true) {\n",
        "volume.FetchedVolumeTest",
    ),
    mutant(
        "fetched block counts as held before it is written",
        "volume/Arrivals.java",
        "    InFlight.Ticket ticket = inFlight.beginStore(from, to);\n",
        "    InFlight.Ticket ticket = inFlight.beginStore(from, to);\n    held.hold(from, to);\n",
        MATRIX,
    ),
    mutant(
        "written block counts as held before it is written",
        "volume/LocalIo.java",
        "    inFlight.beginWrite(request.ticket, from, to);\n",
        "    inFlight.beginWrite(request.ticket, from, to);\n    held.hold(from, to);\n",
        MATRIX,
    ),
    mutant(
        "written block never counts as held",
        "volume/LocalIo.java",
        "long overwritten = held.hold(from, to);",
        "long overwritten = 0;",
        MATRIX,
    ),
    mutant(
        "write is answered before it is carried out",
        "volume/LocalIo.java",
        "      case WRITE -> file.write(request.offset, request.data, request);\n",
        "      case WRITE -> {\n"
        "        ByteBuf copy = request.data.copy();\n"
        "        long at = request.offset;\n"
        "        request.done(null);\n"
        "        file.write(at, copy, error -> copy.release());\n"
        "      }\n",
        MATRIX,
    ),
    mutant(
        "request that still waits is used for the next one",
        "volume/VolumeSession.java",
        "    if (request.hasEnded()) {\n",
        "    if (!closed) {\n",
        "volume.VolumeTest",
        SIMULATION,
    ),
    mutant(
        "FUA write is answered as any other",
        "volume/LocalIo.java",
        "if (error == null && request.fua) {",
        "if (false) {",
        MATRIX,
    ),
    mutant_of_two(
        "flush is answered before anything is forced",
        "volume/LocalIo.java",
        (
            ("    inFlight.begin();\n    durability.force(\n", "    inFlight.begin();\n    reply(request, null);\n    durability.force(\n"),
            (
                "    durability.force(\n        error -> {\n          inFlight.end();\n          reply(request, error);\n",
                "    durability.force(\n        error -> {\n          inFlight.end();\n",
            ),
        ),
        MATRIX,
    ),
    mutant_of_two(
        "flush does not force the data",
        "volume/Durability.java",
        (
            ("    file.force(\n", "    skipped(\n"),
            (
                "  private void finish(",
                "  private static void skipped(BlockFile.Done done) {\n    done.done(null);\n  }\n\n  private void finish(",
            ),
        ),
        MATRIX,
    ),
    mutant_of_two(
        "bits become durable whose data came after the force",
        "volume/Durability.java",
        (
            ("    BlockMap newlyHeld = held.takePending();\n", ""),
            ("        error -> {\n          if (error != null ||", "        error -> {\n          BlockMap newlyHeld = held.takePending();\n          if (error != null ||"),
        ),
        MATRIX,
        SIMULATION,
    ),
    mutant(
        "flush does not record the held blocks",
        "volume/Durability.java",
        "newlyHeld == null || journal == null) {",
        "newlyHeld == null || journal != null) {",
        MATRIX,
    ),
    mutant(
        "blocks held before a restart are not pending any more",
        "volume/HeldBlocks.java",
        "        pending.set(gap, gapEnd);\n",
        "",
        MATRIX,
    ),
    mutant(
        "volume is complete before its blocks are durable",
        "volume/Completion.java",
        "    replica.durability().force(this::forced);\n",
        "    forced(null);\n",
        MATRIX,
    ),
    mutant(
        "journal is removed before the record says complete",
        "volume/Completion.java",
        "      shared.storage().commit(List.of(complete));\n",
        "      shared.storage().endFetching(complete);\n      shared.storage().commit(List.of(complete));\n",
        MATRIX,
    ),
)

BLOCKS = (
    mutant(
        "partly written first block is not fetched before",
        "volume/LocalIo.java",
        "boolean wholeFirst = grid.firstCovered(request.offset) <= from;",
        "boolean wholeFirst = true;",
        MATRIX,
    ),
    mutant(
        "partly written last block is not fetched before",
        "volume/LocalIo.java",
        "boolean wholeLast = grid.endCovered(request.end()) >= to;",
        "boolean wholeLast = true;",
        SIMULATION,
    ),
    mutant(
        "short last block is off by one",
        "map/BlockGrid.java",
        "return end == size ? blocks() : blockAt(end);",
        "return blockAt(end);",
        MATRIX,
    ),
    mutant_of_two(
        "trim of a part of a block trims all of it",
        "volume/LocalIo.java",
        (
            ("    long from = grid.firstCovered(request.offset);\n", "    long from = BlockGrid.blockAt(request.offset);\n"),
            ("    long to = grid.endCovered(request.end());\n", "    long to = BlockGrid.blockAfter(request.end());\n"),
        ),
        SIMULATION,
    ),
    mutant_of_two(
        "hole in a part of a block makes all of it zero",
        "volume/Arrivals.java",
        (
            ("held.nextMissing(grid.firstCovered(offset))", "held.nextMissing(BlockGrid.blockAt(offset))"),
            ("    long to = grid.endCovered(offset + length);\n", "    long to = BlockGrid.blockAfter(offset + length);\n"),
        ),
        "volume.FetchedVolumeTest",
    ),
    mutant(
        "block that is half zero is sent as zero",
        "handover/ExtentSender.java",
        "    int length = to - from;\n",
        "    int length = (to - from) / 2;\n",
        "handover.ExtentSenderTest",
    ),
    mutant(
        "checksum of a fetched piece is not looked at",
        "copy/Origin.java",
        "if (Crc32c.of(data) != extent.getCrc32C()) {",
        "if (false) {",
        "copy.OriginTest",
    ),
    mutant(
        "piece from another place is stored",
        "copy/Origin.java",
        "if (extent.getOffset() != next || length == 0",
        "if (length == 0",
        "copy.OriginTest",
    ),
)

ORDER_OF_WRITES = (
    mutant_of_two(
        "fetched block is stored while a guest write is in flight",
        "volume/Arrivals.java",
        (
            ("      long free = inFlight.busyUntil(block);\n", "      long free = inFlight.storingUntil(block);\n"),
            ("long end = inFlight.nextBusy(block,", "long end = inFlight.nextStoring(block,"),
        ),
        MATRIX,
    ),
    mutant(
        "fetched block is stored over a held one",
        "volume/Arrivals.java",
        "long end = inFlight.nextBusy(block, Math.min(to, held.nextHeld(block)));",
        "long end = inFlight.nextBusy(block, to);",
        MATRIX,
        SIMULATION,
    ),
    mutant(
        "guest write does not wait for a store to the same block",
        "volume/LocalIo.java",
        "if (inFlight.storing(from, to)) {",
        "if (false) {",
        MATRIX,
    ),
    mutant(
        "request of a dead connection is carried out",
        "volume/Volume.java",
        "    if (!request.alive()) {\n      request.drop();\n    } else if (failure() != null) {",
        "    if (failure() != null) {",
        "volume.LocalIoTest",
    ),
)

STALE_MAPS = (
    mutant(
        "write does not mark its blocks stale",
        "volume/LocalIo.java",
        "    replicas.mark(from, to);\n",
        "",
        "volume.LocalIoTest",
        SIMULATION,
    ),
    mutant_of_two(
        "write marks its blocks stale when it has ended",
        "volume/LocalIo.java",
        (
            ("    replicas.mark(from, to);\n", ""),
            (
                "    inFlight.endWrite(request.ticket);\n",
                "    replicas.mark(from, to);\n    inFlight.endWrite(request.ticket);\n",
            ),
        ),
        "volume.LocalIoTest",
    ),
    mutant(
        "what is stale at the owner counts as held",
        "handover/StandbyHandover.java",
        "        (from, to) -> {\n          held.clear(from, to);\n          return true;\n        });",
        "        (from, to) -> true);",
        SIMULATION,
    ),
    mutant(
        "replica without a stale map counts as up to date",
        "handover/OwnerHandover.java",
        "kept != null ? HeapBlockMap.copyOf(kept) : HeapBlockMap.allSet(volume.grid().blocks());",
        "kept != null ? HeapBlockMap.copyOf(kept) : HeapBlockMap.allClear(volume.grid().blocks());",
        "handover.OwnerHandoverTest",
        SIMULATION,
    ),
    mutant(
        "stale map of the former owner is missing after a takeover",
        "volume/Volume.java",
        "    replicas.put(origin, originStale);\n",
        "    originStale.close();\n    replicas.put(origin, io.vmferry.relay.map.HeapBlockMap.allClear(grid().blocks()));\n",
        SIMULATION,
    ),
    mutant(
        "stale map is kept for a replica of another epoch",
        "handover/ReplicaRequests.java",
        "    if (!current && !volume.replicas().isPreCopying(peer, request.getPreCopy())) {\n",
        "    if (false) {\n",
        "handover.PeerRequestsTest",
    ),
    mutant(
        "new owner asks an incomplete former owner for its own blocks",
        "handover/OwnerHandover.java",
        "if (record.held() == VolumeRecord.Held.JOURNAL && record.origin() == null) {",
        "if (false) {",
        "handover.OwnerHandoverTest",
    ),
    mutant(
        "map of another boot is used",
        "map/MappedHeader.java",
        '    same(path, "boot", identity.bootId(), expected.bootId());\n',
        "",
        "map.MappedBlockMapTest",
    ),
    mutant(
        "map of another epoch is used",
        "map/MappedHeader.java",
        '    same(path, "epoch", identity.epoch(), expected.epoch());\n',
        "",
        "map.MappedBlockMapTest",
    ),
)

PRE_COPY = (
    mutant_of_two(
        "block that is being written counts as sent to the standby",
        "volume/Replicas.java",
        (
            ("      long free = inFlight.busyUntil(block);\n", "      long free = block;\n"),
            ("      long end = inFlight.nextBusy(block, to);\n", "      long end = to;\n"),
        ),
        "volume.ReplicasTest",
        SIMULATION,
    ),
    mutant_of_two(
        "block counts as sent to the standby when its content was read",
        "handover/ContentRequests.java",
        (
            ("      volume.peerReads().sendInPreCopy(peer, offset, length);\n", ""),
            (
                "              if (error != null) {\n",
                "              if (session != 0) {\n                volume.peerReads().sendInPreCopy(peer, offset, length);\n              }\n"
                "              if (error != null) {\n",
            ),
        ),
        "handover.PreCopyHandoverTest",
    ),
    mutant(
        "read of an earlier session counts as sent to the standby",
        "volume/Replicas.java",
        "return current != null && current == session;",
        "return current != null;",
        "handover.PreCopyHandoverTest",
        SIMULATION,
    ),
    mutant(
        "standby goes on in a session of which a request was lost",
        "volume/PreCopy.java",
        "  private void failed(Exception error) {\n    copying = false;\n",
        "  private void failed(Exception error) {\n",
        "volume.PreCopyTest",
    ),
    mutant(
        "standby reads before it knows all holes",
        "volume/PreCopy.java",
        "    while (!stopped && copying && holes.isOver() && !waitsForLane) {\n",
        "    while (!stopped && copying && !waitsForLane) {\n",
        "volume.PreCopyTest",
    ),
    mutant(
        "standby keeps a block that is stale at the owner",
        "volume/PreCopy.java",
        "          held.forget(from, to);\n",
        "",
        "volume.PreCopyTest",
    ),
    mutant(
        "standby that has copied everything counts as complete",
        "volume/Completion.java",
        "    return replica.record().held() == VolumeRecord.Held.JOURNAL\n        && !replica",
        "    return !replica",
        "volume.PreCopyTest",
        "handover.PreCopyHandoverTest",
        SIMULATION,
    ),
    mutant(
        "standby gives other nodes what it has copied",
        "volume/PeerReads.java",
        "    } else if (record.held() != VolumeRecord.Held.NONE && replica.held().has(from, to)) {\n",
        "    } else if (replica.held().has(from, to)) {\n",
        "volume.PreCopyTest",
    ),
)
