// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.relay.volume.VolumeFixture.BLOCK;
import static io.vmferry.relay.volume.VolumeFixture.bytes;
import static io.vmferry.relay.volume.VolumeFixture.filled;
import static io.vmferry.relay.volume.VolumeFixture.open;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.copy.FakeLink;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** A standby's reads, with an owner that the test plays. */
final class PassThroughTest {
  private static final int MIB = 1 << 20;
  private static final int SIZE = 4 * MIB;
  private static final int OWNERS = 111;

  private final VolumeFixture fixture = new VolumeFixture();
  private final Volume volume = fixture.standby(SIZE);
  private final NbdSession guest = open(volume, 7);

  private RecordedReply read(long offset, int length) {
    RecordedReply reply = new RecordedReply();
    guest.read(offset, length, reply);
    return reply;
  }

  /** The only question that is open. */
  private FakeLink.Call asked() {
    assertThat(fixture.peer.calls()).hasSize(1);
    return fixture.peer.reads(Role.DEMAND).get(0);
  }

  private static void answer(FakeLink.Call call, int value) {
    Read read = call.request().getRead();
    call.data(read.getOffset(), bytes(read.getLength(), value));
    call.end();
  }

  @Test
  void asksTheOwnerForWhatItHasNowAndStoresNothing() {
    RecordedReply reply = read(512, 1000);
    Read asked = asked().request().getRead();
    assertThat(asked.getOffset()).isEqualTo(512);
    assertThat(asked.getLength()).isEqualTo(1000);
    assertThat(asked.hasEpoch()).as("the owner's content changes").isFalse();
    answer(asked(), OWNERS);
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(reply.bytes()).hasSize(1000).containsOnly(OWNERS);
    assertThat(fixture.file().log()).as("operations on the data file").isEmpty();
    assertThat(volume.status().present()).isZero();

    RecordedReply again = read(512, 1000);
    answer(asked(), OWNERS + 1);
    assertThat(again.bytes()).as("not what was read before").containsOnly(OWNERS + 1);
  }

  @Test
  void aLongReadIsAskedInPieces() {
    RecordedReply reply = read(100, 2 * MIB + 50);
    for (int piece = 0; piece < 3; piece++) {
      Read asked = asked().request().getRead();
      assertThat(asked.getOffset()).isEqualTo(100 + (long) piece * MIB);
      assertThat(asked.getLength()).isEqualTo(piece < 2 ? MIB : 50);
      assertThat(reply.outcome()).isNull();
      answer(asked(), piece + 1);
    }
    byte[] expected = bytes(2 * MIB + 50, 3);
    Arrays.fill(expected, 0, MIB, (byte) 1);
    Arrays.fill(expected, MIB, 2 * MIB, (byte) 2);
    assertThat(reply.bytes()).isEqualTo(expected);
  }

  @Test
  void zeroesAreNotSentButRead() {
    RecordedReply reply = read(0, 3 * BLOCK);
    FakeLink.Call call = asked();
    call.data(0, bytes(BLOCK, OWNERS));
    call.zeroes(BLOCK, BLOCK);
    call.data(2 * BLOCK, bytes(BLOCK, OWNERS));
    call.end();
    byte[] expected = bytes(3 * BLOCK, OWNERS);
    Arrays.fill(expected, BLOCK, 2 * BLOCK, (byte) 0);
    assertThat(reply.bytes()).isEqualTo(expected);
  }

  @Test
  void answersMayComeInAnyOrder() {
    RecordedReply one = read(0, BLOCK);
    RecordedReply two = read(8L * BLOCK, BLOCK);
    List<FakeLink.Call> calls = fixture.peer.reads(Role.DEMAND);
    answer(calls.get(1), 2);
    assertThat(two.bytes()).hasSize(BLOCK).containsOnly(2);
    assertThat(one.outcome()).isNull();
    answer(calls.get(0), 1);
    assertThat(one.bytes()).hasSize(BLOCK).containsOnly(1);
  }

  @Test
  void aLostLinkMakesItWaitAndGoOnWhereItWas() {
    RecordedReply reply = read(0, 2 * BLOCK);
    asked().data(0, bytes(BLOCK, OWNERS));
    fixture.peer.cut();
    fixture.run(Duration.ofSeconds(5));
    assertThat(reply.outcome()).isNull();
    assertThat(volume.status().waitingFor()).contains("cut");

    fixture.peer.repair();
    volume.linkUp("a");
    Read rest = asked().request().getRead();
    assertThat(rest.getOffset()).isEqualTo(BLOCK);
    assertThat(rest.getLength()).isEqualTo(BLOCK);
    fixture.run(Duration.ofSeconds(2));
    answer(asked(), OWNERS);
    assertThat(reply.bytes()).hasSize(2 * BLOCK).containsOnly(OWNERS);
    assertThat(volume.status().waitingFor()).isNull();
  }

  @Test
  void anOwnerThatRefusesIsAskedAgain() {
    RecordedReply reply = read(0, BLOCK);
    FakeLink.Call call = asked();
    call.refuse(Refused.Code.FAILED);
    call.end();
    assertThat(fixture.peer.calls()).as("not at once").isEmpty();
    assertThat(volume.status().waitingFor()).contains("no");
    fixture.run(Duration.ofSeconds(1));
    answer(asked(), OWNERS);
    assertThat(reply.bytes()).hasSize(BLOCK).containsOnly(OWNERS);
  }

  @Test
  void aBrokenAnswerIsAskedForAgain() {
    RecordedReply reply = read(0, 2 * BLOCK);
    FakeLink.Call call = asked();
    call.frame(
        FakeLink.extent(0, BLOCK).setExtent(FakeLink.piece(0, BLOCK).setCrc32C(1)),
        bytes(BLOCK, 5));
    call.end();
    fixture.run(Duration.ofSeconds(1));
    answer(asked(), OWNERS);
    assertThat(reply.bytes()).hasSize(2 * BLOCK).containsOnly(OWNERS);
  }

  @Test
  void aClientThatIsGoneIsAskedForNoMore() {
    RecordedReply reply = read(0, 2 * MIB);
    asked().data(0, bytes(BLOCK, OWNERS));
    guest.closed(false);
    int before = reply.bytes().length;
    FakeLink.Call call = asked();
    call.data(BLOCK, bytes(BLOCK, OWNERS));
    assertThat(reply.bytes()).as("its buffer is not touched").hasSize(before);
    call.lose();
    assertThat(reply.outcome()).isEqualTo("EIO");
    fixture.run(Duration.ofSeconds(2));
    assertThat(fixture.peer.calls()).isEmpty();
  }

  @Test
  void aClientThatGoesWhileItsReadWaitsIsAskedForNoMore() {
    RecordedReply reply = read(0, BLOCK);
    fixture.peer.cut();
    guest.closed(false);
    fixture.peer.repair();
    volume.linkUp("a");
    assertThat(fixture.peer.calls()).isEmpty();
    assertThat(reply.outcome()).isEqualTo("EIO");
  }

  /** Attached again: the same volume, another owner. */
  @Test
  void anotherOwnerIsAskedFromTheBeginning() {
    RecordedReply reply = read(0, 2 * BLOCK);
    FakeLink.Call late = asked();
    late.data(0, bytes(BLOCK, 5));
    volume.become(volume.record().reattached(new Epoch(3, "c"), new UUID(1, 1)));
    late.data(BLOCK, bytes(BLOCK, 5));
    late.end();
    assertThat(reply.outcome()).as("the former owner's answer is none").isNull();
    Read again = asked().request().getRead();
    assertThat(again.getOffset()).isZero();
    assertThat(again.getLength()).isEqualTo(2 * BLOCK);
    answer(asked(), OWNERS);
    assertThat(reply.bytes()).hasSize(2 * BLOCK).containsOnly(OWNERS);
  }

  /** Phase 5 while a read is on its way: it is answered from here, and once. */
  @Test
  void aTakeoverAnswersWhatWasNotAnswered() throws IOException {
    RecordedReply reply = read(0, 2 * BLOCK);
    FakeLink.Call late = asked();
    late.data(0, bytes(BLOCK, 5));
    fixture.file().write(0, filled(2 * BLOCK, 9), error -> {});
    fixture.takeOver(volume, 2);
    fixture.run();
    assertThat(reply.bytes()).as("what is held").hasSize(2 * BLOCK).containsOnly(9);
    late.data(BLOCK, bytes(BLOCK, 5));
    late.end();
    assertThat(reply.outcome()).isEqualTo("ok");
    assertThat(reply.bytes()).hasSize(2 * BLOCK).containsOnly(9);
  }

  @Test
  void aDeletedStandbyEndsItsReads() {
    RecordedReply reply = read(0, BLOCK);
    fixture.peer.cut();
    boolean[] closed = new boolean[1];
    volume.close("volume vol was deleted", () -> closed[0] = true);
    assertThat(closed[0]).isTrue();
    assertThat(reply.outcome()).isEqualTo("EIO");
    fixture.peer.repair();
    fixture.run(Duration.ofSeconds(2));
    assertThat(fixture.peer.calls()).isEmpty();
  }
}
