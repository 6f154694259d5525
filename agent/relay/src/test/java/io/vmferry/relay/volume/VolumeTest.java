// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.relay.volume.VolumeFixture.BLOCK;
import static io.vmferry.relay.volume.VolumeFixture.bytes;
import static io.vmferry.relay.volume.VolumeFixture.filled;
import static io.vmferry.relay.volume.VolumeFixture.flush;
import static io.vmferry.relay.volume.VolumeFixture.open;
import static io.vmferry.relay.volume.VolumeFixture.quiesce;
import static io.vmferry.relay.volume.VolumeFixture.read;
import static io.vmferry.relay.volume.VolumeFixture.write;
import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.vmferry.nbd.ExportInfo;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.store.MemoryBlockFile;
import io.vmferry.relay.store.MemoryBlockFile.Kind;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The gate: what becomes of a request in each state, and what each change of state does to it. */
final class VolumeTest {
  private static final long SIZE = 8 * BLOCK;

  private final VolumeFixture fixture = new VolumeFixture();

  // ---- SERVING

  @Test
  void servingAnswersFromTheFile() {
    NbdSession guest = open(fixture.serving(SIZE), 7);

    assertThat(write(guest, 100, filled(50, 1)).outcome()).isEqualTo("ok");
    assertThat(read(guest, 100, 50).bytes()).isEqualTo(bytes(50, 1));
    assertThat(flush(guest).outcome()).isEqualTo("ok");
    assertThat(fixture.file().unforced()).isZero();
  }

  @Test
  void r2OffersWhatItKeepsItself() {
    ExportInfo info = fixture.standby(SIZE + 1).info();
    assertThat(info).isEqualTo(new ExportInfo(VolumeFixture.NAME, SIZE + 1, false, true, true));
  }

  @Test
  void x10x35AFlushOfOneConnectionCoversTheWritesOfAnother() {
    Volume volume = fixture.serving(SIZE);
    NbdSession one = open(volume, 7);
    NbdSession other = open(volume, 8);

    assertThat(write(one, 0, filled(BLOCK, 1)).outcome()).isEqualTo("ok");
    assertThat(read(other, 0, BLOCK).bytes()).isEqualTo(bytes(BLOCK, 1));
    assertThat(fixture.file().unforced()).isEqualTo(1);

    assertThat(flush(other).outcome()).isEqualTo("ok");
    assertThat(fixture.file().unforced()).isZero();
  }

  // ---- STANDBY

  @Test
  void aStandbysReadComesFromTheOwnerAndIsNotStored() {
    NbdSession guest = open(fixture.standby(SIZE), 7);

    RecordedReply reply = read(guest, 0, 512);
    assertThat(reply.outcome()).isNull();
    fixture.peer.reads(Role.DEMAND).get(0).data(0, bytes(512, 9));
    fixture.peer.reads(Role.DEMAND).get(0).end();

    assertThat(reply.bytes()).isEqualTo(bytes(512, 9));
    assertThat(fixture.file().log()).isEmpty();
  }

  @Test
  void r9AStandbyFlushesAtOnceAndNeverClaimsAHole() {
    NbdSession guest = open(fixture.standby(SIZE), 7);
    RecordedReply status = new RecordedReply();
    guest.blockStatus(0, SIZE, status);

    assertThat(flush(guest).outcome()).isEqualTo("ok");
    assertThat(status.extents()).containsExactly(SIZE + " data");
    assertThat(fixture.events).doesNotContain("takeover wanted");
  }

  @Test
  void theFirstChangeAtAStandbyIsHeldAndAsksForTheTakeover() throws IOException {
    Volume volume = fixture.standby(SIZE);
    NbdSession guest = open(volume, 7);

    RecordedReply reply = write(guest, 0, filled(BLOCK, 1));
    assertThat(reply.outcome()).isNull();
    assertThat(fixture.events).contains("takeover wanted");

    fixture.takeOver(volume, 0);
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(read(guest, 0, BLOCK).bytes()).isEqualTo(bytes(BLOCK, 1));
  }

  @Test
  void aTrimAndAZeroingAtAStandbyAskForTheTakeoverToo() {
    NbdSession guest = open(fixture.standby(SIZE), 7);
    RecordedReply trim = new RecordedReply();
    RecordedReply zero = new RecordedReply();
    guest.trim(0, BLOCK, false, trim);
    guest.writeZeroes(0, BLOCK, true, false, false, zero);

    assertThat(trim.outcome()).isNull();
    assertThat(zero.outcome()).isNull();
    assertThat(fixture.events.stream().filter("takeover wanted"::equals)).hasSize(2);
  }

  @Test
  void r15WhatADeadGuestAskedForIsNeverCarriedOut() throws IOException {
    Volume volume = fixture.standby(SIZE);
    NbdSession guest = open(volume, 7);
    ByteBuf data = filled(BLOCK, 1);
    RecordedReply reply = write(guest, 0, data);

    guest.closed(false);
    assertThat(reply.outcome()).isEqualTo("EIO");
    assertThat(data.refCnt()).isZero();
    assertThat(volume.hasParkedRequests()).isFalse();

    fixture.takeOver(volume, 0);
    assertThat(fixture.file().log())
        .allMatch(operation -> operation.kind() == MemoryBlockFile.Kind.FORCE);
  }

  @Test
  void aReadOfADeadGuestIsEndedSoThatItsBufferIsFreed() {
    NbdSession guest = open(fixture.standby(SIZE), 7);
    RecordedReply reply = read(guest, 0, 512);

    guest.closed(false);
    fixture.peer.reads(Role.DEMAND).get(0).data(0, bytes(512, 9));
    fixture.peer.reads(Role.DEMAND).get(0).end();

    assertThat(reply.outcome()).isEqualTo("EIO");
    assertThat(reply.bytes()).isEmpty();
  }

  @Test
  void aStandbysReadIsAnsweredOnceWhenTheTakeoverComesInBetween() throws IOException {
    Volume volume = fixture.standby(SIZE);
    NbdSession guest = open(volume, 7);
    RecordedReply reply = read(guest, 0, 2 * BLOCK);
    var late = fixture.peer.reads(Role.DEMAND).get(0);
    late.data(0, bytes(BLOCK, 9));

    fixture.takeOver(volume, 2);
    assertThat(reply.bytes()).isEqualTo(bytes(2 * BLOCK, 0));
    late.data(BLOCK, bytes(BLOCK, 9));
    late.end();
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(reply.bytes()).isEqualTo(bytes(2 * BLOCK, 0));
  }

  // ---- RELEASED

  @Test
  void aReleasedReplicaParksAllButFlush() throws IOException {
    Volume volume = fixture.serving(SIZE);
    NbdSession guest = open(volume, 7);
    fixture.release(volume, "a");

    RecordedReply read = read(guest, 0, 512);
    RecordedReply write = write(guest, 0, filled(512, 1));
    assertThat(flush(guest).outcome()).isEqualTo("ok");
    assertThat(read.outcome()).isNull();
    assertThat(write.outcome()).isNull();
    assertThat(fixture.file().log()).isEmpty();
    assertThat(fixture.events).contains("takeover wanted");
  }

  // ---- a disk that doesn't answer

  @Test
  void saysWhichRequestTheDiskDoesNotAnswer() {
    Volume volume = fixture.serving(SIZE);
    NbdSession guest = open(volume, 7);
    fixture.file().hold();
    write(guest, BLOCK, filled(BLOCK, 1));
    fixture.run(Duration.ofSeconds(2));
    flush(guest);
    assertThat(volume.status().waitingFor()).isNull();
    fixture.run(Duration.ofSeconds(2));
    assertThat(volume.status().waitingFor())
        .isEqualTo(
            "WRITE of 4096 bytes at 4096 has not ended for 4 s; check the disk of this node");

    fixture.file().release(0);
    assertThat(volume.status().waitingFor()).isNull();
    fixture.run(Duration.ofSeconds(1));
    assertThat(volume.status().waitingFor()).startsWith("FLUSH has not ended for 3 s");
    fixture.file().release(0);
    assertThat(volume.status().waitingFor()).isNull();
  }

  // ---- quiesce

  @Test
  void quiesceWaitsForTheWriteInFlightAndForcesIt() {
    Volume volume = fixture.serving(SIZE);
    NbdSession guest = open(volume, 7);
    fixture.file().hold();
    RecordedReply reply = write(guest, 0, filled(BLOCK, 1));

    List<IOException> done = quiesce(volume);
    assertThat(fixture.file().held()).extracting("kind").containsExactly(Kind.WRITE);
    fixture.file().release(0);
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(done).isEmpty();
    assertThat(fixture.file().held()).extracting("kind").containsExactly(Kind.FORCE);
    fixture.file().release(0);
    assertThat(done).containsExactly((IOException) null);
  }

  @Test
  void requestsDuringAHandoverAreParkedAndRunWhenItDidNotHappen() {
    Volume volume = fixture.serving(SIZE);
    NbdSession guest = open(volume, 7);
    assertThat(quiesce(volume)).hasSize(1);

    RecordedReply reply = write(guest, 0, filled(BLOCK, 1));
    assertThat(reply.outcome()).isNull();
    assertThat(flush(guest).outcome()).isEqualTo("ok");
    assertThat(fixture.events).doesNotContain("takeover wanted");
    volume.resume();
    assertThat(reply.outcome()).isEqualTo("ok");
  }

  @Test
  void aReadThatWaitedForABlockIsParkedByTheHandoverAndRunsAfterIt() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    NbdSession guest = open(volume, 7);
    RecordedReply reply = read(guest, 0, BLOCK);
    quiesce(volume);

    fixture.peer.reads(Role.DEMAND).get(0).data(0, bytes(BLOCK, 5));
    assertThat(fixture.file().content()[0]).as("stored while parked").isZero();
    volume.resume();
    fixture.peer.reads(Role.DEMAND).get(1).data(0, bytes(BLOCK, 5));

    assertThat(reply.bytes()).isEqualTo(bytes(BLOCK, 5));
  }

  // ---- trouble

  @Test
  void aBrokenDiskEndsTheVolumeAndEveryRequestThatWaits() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    NbdSession guest = open(volume, 7);
    RecordedReply waiting = read(guest, 0, BLOCK);
    fixture.file().failNext(Kind.WRITE, DiskErrors.io());

    RecordedReply failed = write(guest, BLOCK, filled(BLOCK, 1));

    assertThat(failed.outcome()).isEqualTo("EIO");
    assertThat(waiting.outcome()).isEqualTo("EIO");
    assertThat(volume.failure()).contains("vol").contains("check the disk");
    assertThat(flush(guest).outcome()).isEqualTo("EIO");
  }

  /**
   * What was written and not forced before is lost to the disk; the page cache has it only until it
   * needs the page. A read might give the content of before: it is answered EIO, too.
   */
  @ParameterizedTest
  @EnumSource(
      value = Kind.class,
      names = {"WRITE", "ZERO", "FORCE"})
  void aFileSystemThatBecameReadOnlyStopsTheVolumeAndItsReads(Kind kind) throws IOException {
    Volume volume = fixture.fetching(SIZE, 1);
    NbdSession guest = open(volume, 7);
    assertThat(write(guest, 0, filled(BLOCK, 1)).outcome()).isEqualTo("ok");
    fixture.file().failNext(kind, DiskErrors.readOnly(kind.name()));

    RecordedReply failed = new RecordedReply();
    switch (kind) {
      case WRITE -> guest.write(0, filled(BLOCK, 2), false, failed);
      case ZERO -> guest.writeZeroes(0, BLOCK, false, false, false, failed);
      default -> guest.flush(failed);
    }
    fixture.run();

    assertThat(failed.outcome()).isEqualTo("EIO");
    if (kind != Kind.FORCE) {
      assertThat(volume.failure()).contains("volume vol is stopped", "read-only (EROFS)");
    }
    assertThat(volume.failure()).contains("check the disk, then restart the relay");
    assertThat(read(guest, 0, BLOCK).outcome()).isEqualTo("EIO");
    assertThat(read(guest, 0, BLOCK).bytes()).isEmpty();
    assertThat(flush(guest).outcome()).isEqualTo("EIO");
  }

  @Test
  void clientsAreTold() {
    NbdSession guest = open(fixture.serving(SIZE), 7);
    guest.closed(true);
    assertThat(fixture.events).containsSubsequence("clients 1", "clients 0");
  }
}
