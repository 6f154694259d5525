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

import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.peer.wire.Role;
import java.io.IOException;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** A volume whose content is still at an NBD server. */
final class VolumeFromServerTest {
  private static final long SIZE = 8 * BLOCK;

  private final VolumeFixture fixture = new VolumeFixture();

  @Test
  void r14AVolumeFromAServerIsServedAtOnceAndUsesItNoLonger() {
    Volume volume = fixture.fromServer(2 * BLOCK);
    assertThat(volume.record().state()).isEqualTo(VolumeState.FETCHING);
    assertThat(fixture.source.open()).isEqualTo(1);
    assertThat(volume.status().fetch().origin()).isEqualTo(FakeSource.URI);
    NbdSession guest = open(volume, 7);

    RecordedReply reply = read(guest, 0, BLOCK);
    fixture.peer.reads(Role.DEMAND).get(0).data(0, bytes(BLOCK, 4));
    assertThat(reply.bytes()).isEqualTo(bytes(BLOCK, 4));
    assertThat(write(guest, BLOCK, filled(BLOCK, 5)).outcome()).isEqualTo("ok");
    fixture.run(Duration.ofSeconds(5));

    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
    assertThat(fixture.storage.record(VolumeFixture.NAME).source()).isNull();
    assertThat(fixture.source.open()).isZero();
    assertThat(volume.status().fetch()).isNull();
    assertThat(read(guest, 0, BLOCK).bytes()).isEqualTo(bytes(BLOCK, 4));
  }

  @Test
  void aRestartedRelayGoesOnWhereItWas() throws IOException {
    Volume volume = fixture.fromServer(2 * BLOCK);
    fixture.peer.reads(Role.BULK).get(0).data(0, bytes(BLOCK, 4));
    RecordedReply flushed = flush(open(volume, 7));
    fixture.run();
    assertThat(flushed.outcome()).isEqualTo("ok");

    VolumeFixture next = fixture.restarted();
    next.run();
    Volume again = next.volumes.byName(VolumeFixture.NAME);
    assertThat(again.record()).isEqualTo(volume.record());
    assertThat(again.status().present()).isEqualTo(BLOCK);
    assertThat(next.source.open()).isEqualTo(1);
    assertThat(next.peer.reads(Role.BULK).get(0).request().getRead().getOffset()).isEqualTo(BLOCK);
  }

  @Test
  void aHandoverThatDidNotHappenKeepsTheConnection() {
    Volume volume = fixture.fromServer(SIZE);
    quiesce(volume);
    fixture.run();
    volume.resume();
    assertThat(fixture.source.open()).isEqualTo(1);
    volume.close("test", () -> {});
    assertThat(fixture.source.open()).isZero();
  }

  @Test
  void r3ReadsWaitForTheServerAndGoOnWhenItIsBack() {
    Volume volume = fixture.fromServer(SIZE);
    NbdSession guest = open(volume, 7);
    fixture.peer.cut();
    RecordedReply reply = read(guest, 0, BLOCK);
    fixture.run(Duration.ofMinutes(1));
    assertThat(reply.outcome()).isNull();
    assertThat(volume.status().fetch().linkUp()).isFalse();

    fixture.source.repair();
    fixture.peer.reads(Role.DEMAND).get(0).data(0, bytes(BLOCK, 3));
    assertThat(reply.bytes()).isEqualTo(bytes(BLOCK, 3));
  }

  @Test
  void r3ALostLinkIsNoError() throws IOException {
    Volume volume = fixture.fetching(SIZE, 0);
    NbdSession guest = open(volume, 7);
    RecordedReply reply = read(guest, 0, BLOCK);
    fixture.peer.cut();
    fixture.run(Duration.ofSeconds(10));
    assertThat(reply.outcome()).isNull();

    fixture.peer.repair();
    volume.linkUp("a");
    fixture.peer.reads(Role.DEMAND).get(0).data(0, bytes(BLOCK, 3));
    assertThat(reply.bytes()).isEqualTo(bytes(BLOCK, 3));
  }
}
