# SPDX-License-Identifier: Apache-2.0
"""Faults in durable files and on the disk."""

from .mutant import MATRIX, SIMULATION, mutant

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
