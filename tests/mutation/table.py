# SPDX-License-Identifier: Apache-2.0
"""The deliberate faults: each breaks one rule that data depends on, and names the tests that must see it.

A fault is one or more replacements of a text that occurs exactly once in its file. Most must be seen by a proof that
knows nothing of the code (the crash matrix, the simulation), the others by the test of their class."""

from dataclasses import dataclass

RELAY = "agent/relay/src/main/java/io/vmferry/relay/"

MATRIX = "crash.CrashMatrixTest"
SIMULATION = "sim.RelocationSimulationTest"
AGENT = "agent/coordinator/src/main/java/io/vmferry/coordinator/"
HOSTS = "io.vmferry.simulation.WholeHostsSimulationTest#nothingIsLostAndNothingGetsStuck"


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str  # below the root
    changes: tuple  # of (before, after)
    tests: tuple  # below io.vmferry.relay, or in full; run in this order until one fails
    root: str = RELAY

    @property
    def path(self):
        return self.root + self.file

    def apply(self, source):
        """The file with the fault in it; ValueError if a text is not there exactly once."""
        for before, after in self.changes:
            if source.count(before) != 1:
                raise ValueError(
                    f"mutant '{self.name}': its text occurs {source.count(before)} times in {self.path}, not once; "
                    f"the code has changed, so change tests/mutation/table.py too:\n{before}"
                )
            source = source.replace(before, after)
        return source


def mutant(name, file, before, after, *tests):
    return Mutant(name, file, ((before, after),), tests)


def mutant_of_two(name, file, changes, *tests):
    return Mutant(name, file, changes, tests)


def agent_mutant(name, file, before, after):
    """A fault in what the agent decides, which the simulation of whole hosts must see."""
    return Mutant(name, file, ((before, after),), (HOSTS,), AGENT)


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
        "volume/FetchedVolume.java",
        "    InFlight.Ticket ticket = inFlight.beginStore(from, to);\n",
        "    InFlight.Ticket ticket = inFlight.beginStore(from, to);\n    held.hold(from, to);\n",
        MATRIX,
    ),
    mutant(
        "written block counts as held before it is written",
        "volume/LocalIo.java",
        "    InFlight.Ticket ticket = inFlight.beginWrite(from, to);\n",
        "    InFlight.Ticket ticket = inFlight.beginWrite(from, to);\n    held.hold(from, to);\n",
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
        "done -> file.write(request.offset, request.data, done));",
        "done -> {\n"
        "          ByteBuf copy = request.data.copy();\n"
        "          done.done(null);\n"
        "          file.write(request.offset, copy, error -> copy.release());\n"
        "        });",
        MATRIX,
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
        """    host.force(
        error -> {
          if (error != null) {
            underWay = false;
            later(error);
            return;
          }
          shared.commits().<VolumeRecord>submit(this::plan, this::committed);
        });
""",
        "    shared.commits().<VolumeRecord>submit(this::plan, this::committed);\n",
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
        "volume/FetchedVolume.java",
        (
            ("    long from = grid.firstCovered(offset);\n", "    long from = BlockGrid.blockAt(offset);\n"),
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
        "volume/FetchedVolume.java",
        (
            ("      long free = inFlight.busyUntil(block);\n", "      long free = inFlight.storingUntil(block);\n"),
            ("long end = inFlight.nextBusy(block,", "long end = inFlight.nextStoring(block,"),
        ),
        MATRIX,
    ),
    mutant(
        "fetched block is stored over a held one",
        "volume/FetchedVolume.java",
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
        "    if (!request.alive()) {\n      request.drop();\n    } else if (failure != null) {",
        "    if (failure != null) {",
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
            ("    inFlight.endWrite(ticket);\n", "    replicas.mark(from, to);\n    inFlight.endWrite(ticket);\n"),
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
        "    originStale.close();\n    replicas.put(origin, HeapBlockMap.allClear(grid.blocks()));\n",
        SIMULATION,
    ),
    mutant(
        "stale map is kept for a replica of another epoch",
        "handover/PeerRequests.java",
        "    if (!current) {\n",
        "    if (false) {\n",
        "handover.PeerRequestsTest",
    ),
    mutant(
        "new owner asks an incomplete former owner for its own blocks",
        "handover/OwnerHandover.java",
        "if (record.held() == VolumeRecord.Held.JOURNAL && record.origin() == null) {",
        "if (false) {",
        SIMULATION,
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

HANDOVER = (
    mutant(
        "takeover of a connection that was replaced is carried out",
        "handover/PeerRequests.java",
        "    if (responder.fenced()) {\n",
        "    if (false) {\n",
        "handover.PeerRequestsTest",
    ),
    mutant(
        "start in the middle of a takeover is refused",
        "handover/Attacher.java",
        "              if (looks <= 1) {\n",
        "              if (looks > 0) {\n",
        "handover.AttacherTest",
    ),
    mutant(
        "takeover with an old epoch is granted",
        "handover/OwnerHandover.java",
        "if (!record.epoch().equals(wanted.epoch())) {",
        "if (false) {",
        "handover.OwnerHandoverTest",
    ),
    mutant(
        "epoch is not incremented",
        "handover/OwnerHandover.java",
        "record.epoch().next(peer), volumes.shared().wallClock().instant()));",
        "new Epoch(record.epoch().number(), peer), volumes.shared().wallClock().instant()));",
        "handover.OwnerHandoverTest",
        SIMULATION,
    ),
    mutant(
        "nobody asks whether the guest has stopped",
        "handover/OwnerHandover.java",
        "if (each.volume().clients() > 0) {",
        "if (false) {",
        "handover.OwnerHandoverTest",
    ),
    mutant(
        "running guest counts as stopped",
        "handover/OwnerHandover.java",
        "status != null && status.state() == GuestStatus.State.STOPPED_FOR_MIGRATION;",
        "status != null;",
        "handover.OwnerHandoverTest",
    ),
    mutant(
        "takeover asked again is not answered again",
        "handover/OwnerHandover.java",
        "return record.state() == VolumeState.RELEASED\n        && record",
        "return record.state() == VolumeState.SERVING\n        && record",
        "handover.OwnerHandoverTest",
    ),
    mutant(
        "two takeovers at a time",
        "handover/OwnerHandover.java",
        "if (busy.contains(volume)) {",
        "if (false) {",
        "handover.OwnerHandoverTest",
    ),
    mutant(
        "owner answers without a durable record",
        "handover/OwnerHandover.java",
        "                volumes.shared().storage().commit(released);\n",
        "                var unused = volumes.shared().storage();\n",
        "handover.OwnerHandoverTest",
        SIMULATION,
    ),
    mutant(
        "owner releases before its data is forced",
        "volume/Volume.java",
        "inFlight.whenIdle(() -> durability.force(done));",
        "inFlight.whenIdle(() -> done.accept(null));",
        "volume.LocalIoTest",
        SIMULATION,
    ),
    mutant(
        "owner releases while writes are in flight",
        "volume/Volume.java",
        "inFlight.whenIdle(() -> durability.force(done));",
        "durability.force(done);",
        "volume.LocalIoTest",
        SIMULATION,
    ),
    mutant(
        "guest requests are served during a handover",
        "volume/Volume.java",
        "} else if (!parked && (isOwner() || isReadOfFork(request))) {",
        "} else if (isOwner() || isReadOfFork(request)) {",
        "volume.LocalIoTest",
        SIMULATION,
    ),
    mutant(
        "new owner takes a part of what it asked for",
        "handover/StandbyHandover.java",
        "if (granted.size() != group.size()) {",
        "if (false) {",
        "handover.TakeoverAnswersTest",
    ),
    mutant(
        "new owner takes an epoch that is not the next",
        "handover/StandbyHandover.java",
        "          || epoch.number() != volume.record().epoch().number() + 1\n",
        "",
        "handover.TakeoverAnswersTest",
    ),
    mutant(
        "new owner serves before its record is durable",
        "handover/StandbyHandover.java",
        "    volumes.shared().storage().commit(prepared.stream().map(Prepared::record).toList());\n",
        "",
        SIMULATION,
    ),
    mutant(
        "peer reads a replica of another epoch",
        "handover/PeerRequests.java",
        ": !volume.isOwner() && record.epoch().equals(epoch);",
        ": !volume.isOwner();",
        "handover.PeerRequestsTest",
    ),
    mutant(
        "completion of another epoch is believed",
        "handover/PeerRequests.java",
        "return replica && record.epoch().equals(epoch) && epoch.owner().equals(peer);",
        "return replica;",
        "handover.PeerRequestsTest",
    ),
    mutant(
        "replica that is still read is deleted",
        "handover/Departures.java",
        "    if (mayBeRead) {\n",
        "    if (false) {\n",
        "handover.DeparturesTest",
    ),
    mutant(
        "client that lost its connection is forgotten",
        "volume/LocalClients.java",
        "      lost.add(client.process);\n",
        "",
        "volume.LocalClientsTest",
    ),
)

DURABLE_FILES = (
    mutant(
        "directory of a durable file is not forced",
        "store/DurableFile.java",
        "    ops.rename(temporary, path);\n    forceDirectory();\n",
        "    ops.rename(temporary, path);\n",
        MATRIX,
        "store.DurableFileCrashTest",
    ),
    mutant(
        "durable file is not forced before its rename",
        "store/DurableFile.java",
        "        out.force();\n",
        "        if (poison != null) {\n          out.force();\n        }\n",
        MATRIX,
        "store.DurableFileCrashTest",
    ),
    mutant(
        "checksum of a durable file is not looked at",
        "store/DurableFile.java",
        'if (!crc(line.group(1), payload.duplicate()).equals(line.group("crc"))) {',
        "if (false) {",
        "store.DurableFileTest",
    ),
    mutant(
        "failed force is forgotten",
        "store/DurableFile.java",
        "    if (poison != null) {\n      throw",
        "    if (false) {\n      throw",
        "store.DurableFileTest",
    ),
    mutant(
        "journal's record is not forced",
        "store/HeldJournal.java",
        "      log.force();\n",
        "      if (poison != null) {\n        log.force();\n      }\n",
        MATRIX,
        "store.HeldJournalCrashTest",
    ),
    mutant(
        "journal's checkpoint loses the new blocks",
        "store/HeldJournal.java",
        "      startLog(epoch, sum);\n",
        "      startLog(epoch, held);\n",
        "store.HeldJournalTest",
    ),
    mutant(
        "journal's checkpoint comes before its log is durable",
        "store/HeldJournal.java",
        "        newLog.force();\n",
        "        if (poison != null) {\n          newLog.force();\n        }\n",
        MATRIX,
        "store.HeldJournalCrashTest",
    ),
    mutant(
        "reset leaves the old epoch in the checkpoint",
        "store/HeldJournal.java",
        "    startLog(newEpoch, newHeld);\n",
        "    startLog(epoch, newHeld);\n",
        "store.HeldJournalCrashTest",
    ),
    mutant(
        "torn record of the journal is believed",
        "store/HeldLog.java",
        "return record.getInt(crcAt) == crc(header, covered) ? length : 0;",
        "return length;",
        "store.HeldJournalCrashTest",
        "store.HeldJournalTest",
    ),
    mutant(
        "log of another checkpoint is believed",
        "store/HeldLog.java",
        "if (file.length < RECORDS_AT || !ByteBuffer.wrap(file, 0, HEADER_BYTES).equals(header)) {",
        "if (file.length < HEADER_BYTES) {",
        MATRIX,
        "store.HeldJournalTest",
    ),
    mutant(
        "damage to a durable record counts as an interrupted append",
        "store/HeldLog.java",
        "    if (forced > last) {\n",
        "    if (forced < 0) {\n",
        MATRIX,
        "store.HeldJournalTest",
    ),
    mutant(
        "record counts as durable before it is forced",
        "store/HeldJournal.java",
        "    writeRecord(HeldLog.record(logHeader, logRecords + 1, map));\n    logRecords++;\n    mark(logRecords);\n",
        "    logRecords++;\n    mark(logRecords);\n    writeRecord(HeldLog.record(logHeader, logRecords, map));\n",
        "store.HeldJournalCrashTest",
    ),
    mutant(
        "missing record in the middle of the journal is overlooked",
        "store/HeldLog.java",
        "      if (found != last + 1) {\n",
        "      if (false) {\n",
        "store.HeldJournalTest",
    ),
)

DISK = (
    mutant(
        "stale map that is not there counts as clear",
        "disk/DiskStorage.java",
        "path, identity, fresh ? HeapBlockMap.allClear(blocks) : HeapBlockMap.allSet(blocks));",
        "path, identity, HeapBlockMap.allClear(blocks));",
        "disk.DiskStorageTest",
    ),
    mutant(
        "interrupted commit of several volumes is not finished",
        "disk/DiskStorage.java",
        "    finishCommit();\n    List<Found> found",
        "    List<Found> found",
        "disk.DiskStorageTest",
    ),
    mutant(
        "origin is told before every block is here",
        "handover/CompletionNotices.java",
        "record.origin() != null && record.held() == VolumeRecord.Held.ALL;",
        "record.origin() != null;",
        "handover.CompletionNoticesTest",
        SIMULATION,
    ),
    mutant(
        "origin is forgotten though it was not told",
        "handover/CompletionNotices.java",
        "                  if (error == null) {\n",
        "                  if (true) {\n",
        "handover.CompletionNoticesTest",
    ),
)

AGENTS = (
    agent_mutant(
        "paused source is resumed whoever owns its volumes",
        "migration/LeftPausedDomains.java",
        "    if (LeftPaused.of(sight) != LeftPaused.RESUME) {\n",
        "    if (domain.state() == DomainState.PAUSED_MIGRATION && old) {\n"
        "      looking.remove(domain.uuid());\n"
        "      resume(domain, left);\n"
        "      return;\n"
        "    }\n"
        "    if (LeftPaused.of(sight) != LeftPaused.RESUME) {\n",
    ),
    agent_mutant(
        "paused source whose volumes left counts as their owner",
        "migration/LeftPausedDomains.java",
        "    if (volumes.stream().anyMatch(LeftPausedDomains::elsewhere)) {\n",
        "    if (false) {\n",
    ),
    agent_mutant(
        "paused source is never resumed",
        "migration/LeftPausedDomains.java",
        "      case RESUME -> resume(domain, left);\n",
        "      case RESUME -> {}\n",
    ),
    agent_mutant(
        "relay is not told that the guest runs here",
        "migration/Takeovers.java",
        "      scheduler.then(relay.takeover(domain), nothing -> verify(), this::retry);\n",
        '      retry("not told");\n',
    ),
    agent_mutant(
        "standby of a migration that failed stays",
        "migration/Standbys.java",
        "if (plannedDrops.remove(domain, plan) && hasStandby(status, domain)) {",
        "if (false) {",
    ),
    agent_mutant(
        "copy is never retired",
        "migration/Retirement.java",
        "    if (!retiring.add(copy.name())) {\n",
        "    if (copy != null) {\n",
    ),
    agent_mutant(
        "any pause counts as one by an I/O error",
        "migration/IoErrorPauses.java",
        "                  if (errors.isEmpty()) {\n",
        "                  if (false) {\n",
    ),
    agent_mutant(
        "guest paused by an I/O error is not resumed",
        "migration/IoErrorPauses.java",
        "        scheduler.then(hypervisor.resume(domain), nothing -> resumed(), this::retry);\n",
        '        retry("not resumed");\n',
    ),
)

BY_NAME = (
    mutant(
        "a write that begins does not change the name of the content",
        "volume/LocalIo.java",
        "    content.changed();\n    replicas.mark(from, to);\n",
        "    replicas.mark(from, to);\n",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "a write that ends does not change the name of the content",
        "volume/LocalIo.java",
        "    content.changed();\n    inFlight.endWrite(ticket);\n",
        "    inFlight.endWrite(ticket);\n",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "volume grows though a standby is attached",
        "handover/Extension.java",
        "              checkNoStandby(volume, answers);\n",
        "",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "volume may leave while it grows",
        "handover/Extension.java",
        "    handover.reserve(volume);\n",
        "",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "volume grows while it is fetched",
        "handover/Extension.java",
        "    if (record.state() == VolumeState.FETCHING) {\n",
        "    if (false) {\n",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "takeover by a standby of another size",
        "handover/OwnerHandover.java",
        "    if (wanted.size() != 0 && wanted.size() != record.size()) {\n",
        "    if (false) {\n",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "retained copy of the old size counts",
        "handover/Attacher.java",
        "              if (here != null && here.record().size() != confirmed.getSize()) {\n",
        "              if (false) {\n",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "stale maps of the old size stay",
        "volume/Volume.java",
        "    use(HeldBlocks.all(grid), null);\n    replicas.clear();\n    arrange();\n",
        "    use(HeldBlocks.all(grid), null);\n    arrange();\n",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "volume that is open elsewhere is deleted",
        "handover/VolumesByName.java",
        "              checkUnused(owner, replicas);\n",
        "",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "volume at an unreachable node counts as nowhere",
        "handover/VolumesByName.java",
        "    if (!replicas.unreachable().isEmpty()) {\n      return",
        "    if (false) {\n      return",
        "handover.VolumesByNameTest",
    ),
    mutant(
        "record grows and its file does not",
        "disk/DiskStorage.java",
        "    DiskBlockFile.grow(directory(grown.name()).resolve(DATA), before.size(), grown.size());\n",
        "",
        "disk.DiskStorageTest",
    ),
)

MUTANTS = (
    ORDER_OF_BITS
    + BLOCKS
    + ORDER_OF_WRITES
    + STALE_MAPS
    + HANDOVER
    + DURABLE_FILES
    + DISK
    + BY_NAME
    + AGENTS
)
