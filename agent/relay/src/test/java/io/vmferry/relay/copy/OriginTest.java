// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.vmferry.api.Epoch;
import io.vmferry.relay.peer.Crc32c;
import io.vmferry.relay.peer.LinkDownException;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.sim.VirtualTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** Nothing that is out of place, incomplete or altered is handed on as an answer. */
final class OriginTest {
  private static final int COMPRESSIBLE = 64 << 10;

  private final FakeLink link = new FakeLink("a");
  private final Origin origin =
      new Origin(link, new UUID(1, 2), new Epoch(2, "b"), new VirtualTime().new NodeLoop());
  private final List<String> log = new ArrayList<>();
  private Exception error;
  private int ends;
  private int wire;

  private FakeLink.Call read(long offset, int length) {
    return read(offset, length, false);
  }

  private FakeLink.Call read(long offset, int length, boolean compressed) {
    origin.read(
        Role.DEMAND,
        offset,
        length,
        compressed,
        new Origin.Sink() {
          @Override
          public void data(long at, ByteBuf payload, int onWire) {
            log.add("data " + at + "+" + payload.readableBytes());
            wire += onWire;
          }

          @Override
          public void zeroes(long at, int zeroes) {
            log.add("zeroes " + at + "+" + zeroes);
          }

          @Override
          public void end(Exception why) {
            error = why;
            ends++;
          }
        });
    return link.calls().get(0);
  }

  private FakeLink.Call holes(long offset, long size) {
    origin.holes(
        offset,
        size,
        new Origin.HoleSink() {
          @Override
          public void hole(long at, long length) {
            log.add("hole " + at + "+" + length);
          }

          @Override
          public void end(long next, Exception why) {
            log.add("next " + next);
            error = why;
            ends++;
          }
        });
    return link.holesCall();
  }

  private void refused(FakeLink.Call call, String reason) {
    call.end();
    assertThat(ends).isEqualTo(1);
    assertThat(error).isInstanceOf(OriginException.class).hasMessageContaining(reason);
  }

  @Test
  void handsOnDataAndZeroesInOrder() {
    FakeLink.Call call = read(100, 30);
    call.data(100, new byte[10]);
    call.zeroes(110, 20);
    call.end();
    assertThat(log).containsExactly("data 100+10", "zeroes 110+20");
    assertThat(error).isNull();
    assertThat(ends).isEqualTo(1);
  }

  @Test
  void refusesAPieceOutOfOrder() {
    FakeLink.Call call = read(0, 20);
    call.data(10, new byte[10]);
    call.data(0, new byte[10]);
    assertThat(log).isEmpty();
    refused(call, "outside of what was asked for");
  }

  @Test
  void refusesAPieceTwice() {
    FakeLink.Call call = read(0, 20);
    call.data(0, new byte[10]);
    call.data(0, new byte[10]);
    refused(call, "outside");
    assertThat(log).hasSize(1);
  }

  @Test
  void refusesMoreThanWasAskedFor() {
    FakeLink.Call call = read(0, 20);
    call.data(0, new byte[21]);
    assertThat(log).isEmpty();
    refused(call, "outside");
  }

  @Test
  void refusesAnEmptyPieceAndALengthThatLooksNegative() {
    FakeLink.Call call = read(0, 20);
    call.zeroes(0, 0);
    refused(call, "outside");
    ends = 0;
    FakeLink.Call again = read(0, 20);
    again.zeroes(0, -20);
    refused(again, "outside");
    assertThat(log).isEmpty();
  }

  @Test
  void cve20220485RefusesAnAnswerThatEndsEarly() {
    FakeLink.Call call = read(0, 20);
    call.data(0, new byte[10]);
    refused(call, "too early");
  }

  @Test
  void cve20220485RefusesAWrongChecksum() {
    FakeLink.Call call = read(0, 2);
    call.frame(Frame.newBuilder().setExtent(FakeLink.piece(0, 2).setCrc32C(1)), (byte) 1, (byte) 2);
    assertThat(log).isEmpty();
    refused(call, "checksum");
  }

  @Test
  void refusesALengthThatIsNotThePayloads() {
    FakeLink.Call call = read(0, 8);
    call.frame(FakeLink.extent(0, 8), new byte[4]);
    refused(call, "payload");
  }

  private static byte[] packed(byte[] data) {
    ByteBuf packed = new Compression(Runnable::run).pack(Unpooled.wrappedBuffer(data));
    byte[] bytes = ByteBufUtil.getBytes(packed);
    packed.release();
    return bytes;
  }

  private static void compressed(FakeLink.Call call, int length, int crc, byte... payload) {
    call.frame(
        Frame.newBuilder().setExtent(FakeLink.piece(0, length).setCrc32C(crc).setZstd(true)),
        payload);
  }

  @Test
  void unpacksWhatCameCompressed() {
    byte[] data = new byte[COMPRESSIBLE];
    Arrays.fill(data, (byte) 3);
    byte[] payload = packed(data);
    FakeLink.Call call = read(0, COMPRESSIBLE, true);
    assertThat(call.request().getRead().getZstd()).isTrue();
    compressed(call, COMPRESSIBLE, Crc32c.of(Unpooled.wrappedBuffer(data)), payload);
    call.end();
    assertThat(error).isNull();
    assertThat(log).containsExactly("data 0+" + COMPRESSIBLE);
    assertThat(wire).isEqualTo(payload.length).isLessThan(1000);
  }

  @Test
  void refusesCompressedDataThatIsNotWhatItMustBe() {
    byte[] data = new byte[COMPRESSIBLE];
    byte[] payload = packed(data);
    int crc = Crc32c.of(Unpooled.wrappedBuffer(data));
    FakeLink.Call notAsked = read(0, COMPRESSIBLE);
    compressed(notAsked, COMPRESSIBLE, crc, payload);
    refused(notAsked, "not asked for");
    for (int length : new int[] {COMPRESSIBLE - 1, COMPRESSIBLE + 1}) {
      ends = 0;
      FakeLink.Call wrongLength = read(0, length, true);
      compressed(wrongLength, length, crc, payload);
      refused(wrongLength, "can't be unpacked");
    }
    ends = 0;
    FakeLink.Call noise = read(0, COMPRESSIBLE, true);
    compressed(noise, COMPRESSIBLE, crc, new byte[] {1, 2, 3});
    refused(noise, "can't be unpacked");
    ends = 0;
    FakeLink.Call wrongSum = read(0, COMPRESSIBLE, true);
    compressed(wrongSum, COMPRESSIBLE, crc + 1, payload);
    refused(wrongSum, "checksum");
    assertThat(log).isEmpty();
  }

  @Test
  void refusesAnotherKindOfAnswer() {
    FakeLink.Call call = read(0, 8);
    call.holes(0);
    refused(call, "HOLE_LIST");
  }

  @Test
  void r10TellsARefusalWithItsCode() {
    FakeLink.Call call = read(0, 8);
    call.refuse(Refused.Code.WRONG_EPOCH);
    refused(call, "no");
    assertThat(((OriginException) error).code()).isEqualTo(Refused.Code.WRONG_EPOCH);
  }

  @Test
  void tellsALostLink() {
    FakeLink.Call call = read(0, 20);
    call.data(0, new byte[10]);
    call.lose();
    assertThat(error).isInstanceOf(LinkDownException.class);
    assertThat(ends).isEqualTo(1);
  }

  @Test
  void r4NamesItsEpoch() {
    FakeLink.Call call = read(0, 8);
    assertThat(call.request().getRead().getEpoch().getNumber()).isEqualTo(2);
    assertThat(call.request().getRead().getLength()).isEqualTo(8);
  }

  @Test
  void listsHoles() {
    FakeLink.Call call = holes(0, 1000);
    call.holes(500, 0L, 100L, 400L, 100L);
    call.end();
    assertThat(log).containsExactly("hole 0+100", "hole 400+100", "next 500");
    assertThat(error).isNull();
  }

  @Test
  void refusesHolesThatOverlapOrLieOutside() {
    for (Long[] bad :
        new Long[][] {
          {0L, 100L, 50L, 100L}, {900L, 101L}, {0L, -1L}, {-1L, 10L}, {0L, 0L}, {5L}, {2000L, 1L}
        }) {
      ends = 0;
      FakeLink.Call call = holes(0, 1000);
      call.holes(1000, bad);
      refused(call, "node a");
    }
  }

  @Test
  void refusesAListThatLeadsNowhereOrBack() {
    FakeLink.Call call = holes(10, 1000);
    call.holes(10);
    refused(call, "leads nowhere");
    ends = 0;
    FakeLink.Call back = holes(10, 1000);
    back.holes(5);
    refused(back, "outside");
    ends = 0;
    FakeLink.Call far = holes(10, 1000);
    far.holes(1001);
    refused(far, "outside");
  }
}
