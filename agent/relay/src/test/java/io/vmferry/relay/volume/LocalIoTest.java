// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.relay.volume.VolumeFixture.BLOCK;
import static io.vmferry.relay.volume.VolumeFixture.bytes;
import static io.vmferry.relay.volume.VolumeFixture.filled;
import static io.vmferry.relay.volume.VolumeFixture.open;
import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.store.DiskErrors;
import io.vmferry.relay.store.MemoryBlockFile.Kind;
import io.vmferry.relay.store.MemoryBlockFile.Operation;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Guest requests at the owner: what happens before the file is touched, and before the reply. */
final class LocalIoTest {
  private static final int SIZE = 8 * BLOCK;

  private final VolumeFixture fixture = new VolumeFixture();
  private Volume volume;
  private NbdSession guest;

  /** A volume that took over from "a" and holds its first {@code held} blocks. */
  private void fetching(long held) throws IOException {
    volume = fixture.fetching(SIZE, held);
    guest = open(volume, 7);
    fixture.file().log().clear();
  }

  private RecordedReply write(long offset, ByteBuf data, boolean fua) {
    RecordedReply reply = new RecordedReply();
    guest.write(offset, data, fua, reply);
    fixture.run();
    return reply;
  }

  private List<Kind> waiting() {
    return fixture.file().held().stream().map(Operation::kind).toList();
  }

  /** What the origin was asked for by the guest, as offsets. */
  private List<Long> demanded() {
    return fixture.peer.reads(Role.DEMAND).stream()
        .map(call -> call.request().getRead().getOffset())
        .toList();
  }

  @Test
  void aWriteMarksItsBlocksStaleBeforeItTouchesTheFile() throws IOException {
    fetching(8);
    fixture.file().hold();

    RecordedReply reply = write(2 * BLOCK, filled(2 * BLOCK, 1), false);

    assertThat(waiting()).containsExactly(Kind.WRITE);
    assertThat(reply.outcome()).isNull();
    assertThat(volume.replicas().stale("a").cardinality()).isEqualTo(2);
    assertThat(volume.replicas().stale("a").allSet(2, 4)).isTrue();
  }

  @Test
  void aZeroingAndATrimMarkTheirBlocksStaleToo() throws IOException {
    fetching(8);
    guest.writeZeroes(0, BLOCK, true, false, false, new RecordedReply());
    guest.trim(3 * BLOCK, BLOCK, false, new RecordedReply());
    assertThat(volume.replicas().stale("a").cardinality()).isEqualTo(2);
    assertThat(volume.replicas().stale("a").get(0)).isTrue();
    assertThat(volume.replicas().stale("a").get(3)).isTrue();
  }

  @Test
  void aWriteThatFailedLeavesItsBlocksStale() throws IOException {
    fetching(8);
    fixture.file().failNext(Kind.WRITE, DiskErrors.noSpace());

    assertThat(write(BLOCK, filled(BLOCK, 1), false).outcome()).isEqualTo("ENOSPC");

    // A part of it may be in the file.
    assertThat(volume.replicas().stale("a").get(1)).isTrue();
    assertThat(volume.failure()).isNull();
  }

  @Test
  void aReadMarksNothingStale() throws IOException {
    fetching(8);
    guest.read(0, BLOCK, new RecordedReply());
    assertThat(volume.replicas().stale("a").cardinality()).isZero();
  }

  @Test
  void r5ABlockOfWhichAWriteCoversTheEndIsFetchedFirst() throws IOException {
    fetching(0);
    RecordedReply reply = write(512, filled(2 * BLOCK - 512, 5), false);

    assertThat(reply.outcome()).isNull();
    assertThat(demanded()).containsExactly(0L);
    assertThat(fixture.file().log()).isEmpty();

    fixture.peer.reads(Role.DEMAND).get(0).data(0, bytes(BLOCK, 9));
    fixture.run();
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(fixture.file().content()[511]).isEqualTo((byte) 9);
    assertThat(fixture.file().content()[512]).isEqualTo((byte) 5);
  }

  @Test
  void r5ABlockOfWhichAWriteCoversTheBeginningIsFetchedFirst() throws IOException {
    fetching(0);
    RecordedReply reply = write(0, filled(BLOCK + 512, 5), false);

    assertThat(reply.outcome()).isNull();
    assertThat(demanded()).containsExactly((long) BLOCK);
    assertThat(fixture.file().log()).isEmpty();

    fixture.peer.reads(Role.DEMAND).get(0).data(BLOCK, bytes(BLOCK, 9));
    fixture.run();
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(fixture.file().content()[BLOCK + 511]).isEqualTo((byte) 5);
    assertThat(fixture.file().content()[BLOCK + 512]).isEqualTo((byte) 9);
  }

  @Test
  void r15AWriteThatWaitsForABlockDiesWithItsConnection() throws IOException {
    fetching(0);
    RecordedReply reply = write(512, filled(512, 5), false);
    guest.closed(false);

    fixture.peer.reads(Role.DEMAND).get(0).data(0, bytes(BLOCK, 9));
    fixture.run();

    assertThat(fixture.file().content()[512]).as("what the dead asked for").isEqualTo((byte) 9);
    assertThat(reply.outcome()).isNotEqualTo("ok");
  }

  @Test
  void x25AFastZeroingThatWouldHaveToFetchIsRefusedAtOnce() throws IOException {
    fetching(0);
    RecordedReply partly = new RecordedReply();
    guest.writeZeroes(512, BLOCK, true, true, false, partly);
    RecordedReply whole = new RecordedReply();
    guest.writeZeroes(2 * BLOCK, BLOCK, true, true, false, whole);

    assertThat(partly.outcome()).isEqualTo("ENOTSUP");
    assertThat(demanded()).isEmpty();
    assertThat(whole.outcome()).isEqualTo("ok");
  }

  @Test
  void aTrimChangesOnlyTheBlocksThatItCoversWhole() throws IOException {
    fetching(8);
    write(0, filled(3 * BLOCK, 4), false);
    fixture.file().log().clear();
    RecordedReply reply = new RecordedReply();

    guest.trim(512, 2 * BLOCK, false, reply);

    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(fixture.file().log()).containsExactly(new Operation(Kind.ZERO, BLOCK, BLOCK));
  }

  @Test
  void aTrimOfNoWholeBlockChangesNothing() throws IOException {
    fetching(0);
    RecordedReply reply = new RecordedReply();
    guest.trim(512, BLOCK, false, reply);
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(fixture.file().log()).isEmpty();
    assertThat(volume.heldSnapshot().cardinality()).isZero();
  }

  @Test
  void x12AFuaWriteIsAnsweredWhenItIsForced() throws IOException {
    fetching(0);
    fixture.file().hold();
    RecordedReply reply = write(0, filled(BLOCK, 1), true);

    fixture.file().release(0);
    assertThat(waiting()).containsExactly(Kind.FORCE);
    assertThat(reply.outcome()).isNull();

    fixture.file().release(0);
    assertThat(reply.outcome()).as("its block is not yet in the journal").isNull();
    fixture.run();
    assertThat(reply.outcome()).isEqualTo("ok");
  }

  @Test
  void aWriteIsHeldWhenItHasEndedNotBefore() throws IOException {
    fetching(0);
    fixture.file().hold();
    write(0, filled(BLOCK, 1), false);
    assertThat(volume.heldSnapshot().get(0)).isFalse();
    fixture.file().release(0);
    assertThat(volume.heldSnapshot().get(0)).isTrue();
  }

  @Test
  void aFailedWriteIsNotHeld() throws IOException {
    fetching(0);
    fixture.file().failNext(Kind.WRITE, DiskErrors.noSpace());
    assertThat(write(0, filled(BLOCK, 1), false).outcome()).isEqualTo("ENOSPC");
    assertThat(volume.heldSnapshot().cardinality()).isZero();
  }

  @Test
  void x10AFailedForceFailsTheFlushAndTheVolume() throws IOException {
    fetching(8);
    fixture.file().failNext(Kind.FORCE, DiskErrors.io());
    RecordedReply reply = new RecordedReply();
    guest.flush(reply);
    fixture.run();
    assertThat(reply.outcome()).isEqualTo("EIO");
    assertThat(volume.failure()).contains("vol");
  }

  @Test
  void r9x34WhatIsMissingIsNeverReportedAsAHole() throws IOException {
    fetching(2);
    RecordedReply reply = new RecordedReply();
    guest.blockStatus(2 * BLOCK, 4 * BLOCK, reply);
    assertThat(reply.extents()).containsExactly(4 * BLOCK + " data");
  }

  @Test
  void duringAHandoverNothingIsCarriedOut() throws IOException {
    fetching(8);
    volume.quiesce(error -> {});
    fixture.run();
    fixture.file().log().clear();

    RecordedReply reply = write(0, filled(BLOCK, 1), false);
    RecordedReply read = new RecordedReply();
    guest.read(0, BLOCK, read);

    assertThat(fixture.file().log()).isEmpty();
    assertThat(reply.outcome()).isNull();
    assertThat(read.outcome()).isNull();

    volume.resume();
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(read.bytes()).isEqualTo(bytes(BLOCK, 1));
  }

  @Test
  void aHandoverWaitsForWhatIsInFlightThenForcesIt() throws IOException {
    fetching(8);
    fixture.file().hold();
    RecordedReply reply = write(0, filled(BLOCK, 1), false);
    boolean[] quiet = new boolean[1];
    volume.quiesce(error -> quiet[0] = error == null);

    assertThat(waiting()).containsExactly(Kind.WRITE);
    fixture.file().release(0);
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(waiting()).containsExactly(Kind.FORCE);
    assertThat(quiet[0]).isFalse();

    fixture.file().flow();
    fixture.run();
    assertThat(quiet[0]).isTrue();
    assertThat(fixture.file().unforced()).isZero();
  }
}
