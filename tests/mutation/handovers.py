# SPDX-License-Identifier: Apache-2.0
"""Faults in handovers, in operations by name, and in what agents decide about them."""

from .mutant import SIMULATION, agent_mutant, mutant

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
        "replica.inFlight().whenIdle(() -> replica.durability().force(done));",
        "replica.inFlight().whenIdle(() -> done.accept(null));",
        "volume.LocalIoTest",
        SIMULATION,
    ),
    mutant(
        "owner releases while writes are in flight",
        "volume/Volume.java",
        "replica.inFlight().whenIdle(() -> replica.durability().force(done));",
        "replica.durability().force(done);",
        "volume.LocalIoTest",
        SIMULATION,
    ),
    mutant(
        "guest requests are served during a handover",
        "volume/Volume.java",
        "} else if (!replica.isParked() && (isOwner() || isReadOfFork(request))) {",
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
        "handover/ContentRules.java",
        ": !volume.isOwner() && record.epoch().equals(epoch);",
        ": !volume.isOwner();",
        "handover.PeerRequestsTest",
    ),
    mutant(
        "completion of another epoch is believed",
        "handover/ReplicaRequests.java",
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
        "standby is attached while the volume grows",
        "handover/ReplicaRequests.java",
        "    if (extension.isGrowing(volume)) {\n",
        "    if (false) {\n",
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
        "    replica.grow(newRecord);\n    replicas.clear();\n    arrange();\n",
        "    replica.grow(newRecord);\n    arrange();\n",
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
