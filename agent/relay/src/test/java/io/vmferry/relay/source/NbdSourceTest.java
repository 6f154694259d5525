// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.source;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.vmferry.nbd.client.NbdConnection.Extent;
import io.vmferry.nbd.client.ServerExport;
import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.sim.VirtualTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What becomes of a volume's questions at an NBD server. */
class NbdSourceTest {
  private static final int BLOCK = 4096;
  private static final long SIZE = 1 << 20;
  private static final ServerExport PLAIN = new ServerExport(SIZE, false, 1, 32 << 20, true, 1);

  private final VirtualTime time = new VirtualTime();
  private final List<FakeSourceLink> links = new ArrayList<>();
  private final List<String> log = new ArrayList<>();
  private int ups;
  private Exception error;
  private int ends;
  private int wire;
  private final NbdSource source =
      new NbdSource(
          "nbd://server/disk",
          "server:10809",
          "vol",
          SIZE,
          time.new NodeLoop(),
          new RateLimit(null, 0),
          () -> ups++,
          listener -> {
            links.add(new FakeSourceLink(listener));
            return links.get(links.size() - 1);
          });
  private final FakeSourceLink demand = links.get(0);
  private final FakeSourceLink bulk = links.get(1);

  private final class Sink implements Origin.Sink {
    @Override
    public void data(long offset, ByteBuf data, int onWire) {
      log.add("data " + offset + "+" + data.readableBytes() + " of " + data.getByte(0));
      wire += onWire;
    }

    @Override
    public void zeroes(long offset, int length) {
      log.add("zeroes " + offset + "+" + length);
    }

    @Override
    public void end(Exception why) {
      ends++;
      error = why;
    }
  }

  private void read(Role role, long offset, int length) {
    source.read(role, offset, length, false, new Sink());
    time.run(Duration.ofMillis(1));
  }

  private static byte[] filled(int length, int value) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) value);
    return bytes;
  }

  @Test
  void aReadIsAskedAndDelivered() {
    demand.connect(PLAIN);
    assertThat(ups).isEqualTo(1);
    read(Role.DEMAND, BLOCK, 2 * BLOCK);
    assertThat(demand.last().offset()).isEqualTo(BLOCK);
    demand.last().data(filled(2 * BLOCK, 7), 2 * BLOCK);
    assertThat(log).containsExactly("data 4096+8192 of 7");
    assertThat(wire).isEqualTo(2 * BLOCK);
    assertThat(ends).isEqualTo(1);
    assertThat(error).isNull();
  }

  @Test
  void blocksOfZeroesAreToldAsSuch() {
    demand.connect(PLAIN);
    read(Role.BULK, 0, 4 * BLOCK);
    byte[] data = filled(4 * BLOCK, 0);
    data[BLOCK] = 1;
    data[4 * BLOCK - 1] = 1;
    demand.last().data(data, 100);
    assertThat(log)
        .containsExactly(
            "zeroes 0+4096", "data 4096+4096 of 1", "zeroes 8192+4096", "data 12288+4096 of 0");
    assertThat(wire).isEqualTo(100);
  }

  @Test
  void r12RequestsBeginAndEndAtTheServersBlocks() {
    demand.connect(new ServerExport(SIZE, false, 65536, 32 << 20, true, 1));
    read(Role.DEMAND, 65536 + BLOCK, BLOCK);
    assertThat(demand.last()).extracting("offset", "length").containsExactly(65536L, 65536L);
    byte[] data = filled(65536, 1);
    Arrays.fill(data, BLOCK, 2 * BLOCK, (byte) 2);
    demand.last().data(data, 65536);
    assertThat(log).containsExactly("data 69632+4096 of 2");
    assertThat(ends).isEqualTo(1);
  }

  @Test
  void r12RequestsAreNoLongerThanTheServerWants() {
    demand.connect(new ServerExport(SIZE, false, 512, 3 * BLOCK, true, 1));
    read(Role.BULK, BLOCK, 8 * BLOCK);
    for (int piece = 0; piece < 3; piece++) {
      assertThat(demand.asked).hasSize(piece + 1);
      assertThat(ends).isZero();
      demand.last().data(filled((int) demand.last().length(), piece + 1), 0);
    }
    assertThat(log)
        .containsExactly("data 4096+12288 of 1", "data 16384+12288 of 2", "data 28672+8192 of 3");
    assertThat(ends).isEqualTo(1);
    assertThat(error).isNull();
  }

  @Test
  void r10AnErrorOfTheServerEndsTheReadWithItsWords() {
    demand.connect(PLAIN);
    read(Role.DEMAND, 0, BLOCK);
    demand.last().fail("the server failed to read 4096 bytes at 0: EIO");
    assertThat(log).isEmpty();
    assertThat(error).hasMessage("the server failed to read 4096 bytes at 0: EIO");
    assertThat(ends).isEqualTo(1);
  }

  @Test
  void whileTheLinkIsDownReadsEndWithTheReason() {
    read(Role.DEMAND, 0, BLOCK);
    assertThat(error).hasMessage("NBD server server:10809: cut");
    assertThat(source.up()).isFalse();
    assertThat(source.waitingFor())
        .isEqualTo("NBD server server:10809: cut; it reconnects by itself");
    demand.connect(PLAIN);
    assertThat(source.waitingFor()).isNull();
  }

  @Test
  void aLinkThatIsLostBetweenTwoPiecesEndsTheRead() {
    demand.connect(new ServerExport(SIZE, false, 1, BLOCK, true, 1));
    read(Role.DEMAND, 0, 2 * BLOCK);
    demand.cut();
    demand.last().data(filled(BLOCK, 1), BLOCK);
    time.run(Duration.ofMillis(1));
    assertThat(error).hasMessage("NBD server server:10809: cut");
    assertThat(ends).isEqualTo(1);
  }

  @Test
  void r4AnotherSizeIsNeverAskedAgain() {
    demand.connect(new ServerExport(SIZE + 512, false, 1, 32 << 20, true, 1));
    assertThat(source.up()).isFalse();
    assertThat(ups).isZero();
    assertThat(source.waitingFor())
        .isEqualTo(
            "NBD server server:10809: the export has 1049088 bytes now, volume vol has 1048576: it"
                + " is another disk, and is not asked any more; mend that and restart the relay, or"
                + " delete the volume");
  }

  @Test
  void aSecondConnectionOnlyIfTheServerKeepsItsPromise() {
    demand.connect(PLAIN);
    assertThat(bulk.opened()).isFalse();
    demand.connect(new ServerExport(SIZE, true, 1, 32 << 20, true, 1));
    assertThat(bulk.opened()).isTrue();

    read(Role.BULK, 0, BLOCK);
    assertThat(demand.asked).as("until the second one stands").hasSize(1);
    bulk.connect(new ServerExport(SIZE, true, 1, 32 << 20, true, 1));
    read(Role.BULK, 0, BLOCK);
    read(Role.DEMAND, 0, BLOCK);
    assertThat(bulk.asked).hasSize(1);
    assertThat(demand.asked).hasSize(2);
  }

  private final List<String> holes = new ArrayList<>();
  private long nextHole;

  private void askForHoles(long offset) {
    source.holes(
        offset,
        SIZE,
        new Origin.HoleSink() {
          @Override
          public void hole(long at, long length) {
            holes.add(at + "+" + length);
          }

          @Override
          public void end(long next, Exception why) {
            nextHole = next;
            error = why;
            ends++;
          }
        });
    time.run(Duration.ofMillis(1));
  }

  @Test
  void r9OnlyWhatReadsAsZeroesIsAHole() {
    demand.connect(PLAIN);
    askForHoles(0);
    assertThat(demand.last().length()).isEqualTo(SIZE);
    demand
        .last()
        .extents(
            new Extent(100, false, false),
            new Extent(200, true, false),
            new Extent(300, false, true),
            new Extent(400, true, true));
    assertThat(holes).containsExactly("300+300", "600+400");
    assertThat(nextHole).isEqualTo(1000);
  }

  @Test
  void withoutAllocationNothingIsAHole() {
    demand.connect(new ServerExport(SIZE, false, 1, 32 << 20, true, null));
    askForHoles(0);
    assertThat(holes).isEmpty();
    assertThat(nextHole).isEqualTo(SIZE);
    assertThat(error).isNull();
  }

  @Test
  void aListOfHolesThatFailsIsAskedAgainFromThere() {
    demand.connect(PLAIN);
    askForHoles(8192);
    demand.last().fail("no");
    assertThat(nextHole).isEqualTo(8192);
    assertThat(error).hasMessage("no");
  }

  @Test
  void closingClosesBoth() {
    source.close();
    assertThat(demand.closed()).isTrue();
    assertThat(bulk.closed()).isTrue();
  }
}
