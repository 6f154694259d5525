// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.relay.volume.VolumeFixture.BLOCK;
import static io.vmferry.relay.volume.VolumeFixture.bytes;
import static io.vmferry.relay.volume.VolumeFixture.filled;
import static io.vmferry.relay.volume.VolumeFixture.open;
import static io.vmferry.relay.volume.VolumeFixture.quiesce;
import static io.vmferry.relay.volume.VolumeFixture.read;
import static io.vmferry.relay.volume.VolumeFixture.write;
import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.peer.wire.Role;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The end of fetch mode: when the last block is here, and what may come in between. */
final class CompletionTest {
  private static final long SIZE = 8 * BLOCK;

  private final VolumeFixture fixture = new VolumeFixture();

  @Test
  void r14BecomesServingWhenTheLastBlockIsHere() throws IOException {
    Volume volume = fixture.fetching(SIZE, 7);
    assertThat(volume.record().state()).isEqualTo(VolumeState.FETCHING);

    fixture.peer.reads(Role.BULK).get(0).data(7 * BLOCK, bytes(BLOCK, 1));
    fixture.run();

    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
    assertThat(fixture.storage.record(VolumeFixture.NAME).held()).isEqualTo(VolumeRecord.Held.ALL);
    assertThat(fixture.events).containsOnlyOnce("complete");

    int asked = fixture.peer.calls().size();
    assertThat(read(open(volume, 7), 0, (int) SIZE).outcome()).isEqualTo("ok");
    fixture.run(Duration.ofMinutes(1));
    assertThat(fixture.peer.calls()).hasSize(asked);
  }

  @Test
  void theLastDataIsDurableBeforeTheRecordSaysComplete() throws IOException {
    fixture.fetching(SIZE, 7);
    fixture.file().hold();
    fixture.peer.reads(Role.BULK).get(0).data(7 * BLOCK, bytes(BLOCK, 1));
    fixture.file().release(0);
    fixture.run();

    assertThat(fixture.storage.record(VolumeFixture.NAME).held())
        .isEqualTo(VolumeRecord.Held.JOURNAL);
    fixture.file().flow();
    fixture.run();
    assertThat(fixture.storage.record(VolumeFixture.NAME).held()).isEqualTo(VolumeRecord.Held.ALL);
  }

  @Test
  void newBlocksAreMadeDurableByThemselvesAndWithoutAnyNothingIsForced() throws IOException {
    NbdSession guest = open(fixture.fetching(SIZE, 4), 7);
    assertThat(write(guest, 0, filled(BLOCK, 1)).outcome()).isEqualTo("ok");
    fixture.run(Duration.ofSeconds(10));
    assertThat(fixture.file().unforced()).as("the block was here").isEqualTo(1);

    assertThat(write(guest, 5 * BLOCK, filled(BLOCK, 2)).outcome()).isEqualTo("ok");
    assertThat(fixture.file().unforced()).isEqualTo(2);
    fixture.run(Duration.ofSeconds(3));
    assertThat(fixture.file().unforced()).isZero();
  }

  @Test
  void aHandoverThatBeginsDuringTheCompletionWins() throws IOException {
    Volume volume = fixture.fetching(SIZE, 7);
    fixture.file().hold();
    fixture.peer.reads(Role.BULK).get(0).data(7 * BLOCK, bytes(BLOCK, 1));
    fixture.file().release(0);
    List<IOException> done = quiesce(volume);
    fixture.file().flow();
    fixture.run();

    assertThat(done).containsExactly((IOException) null);
    assertThat(volume.record().state()).isEqualTo(VolumeState.FETCHING);
    volume.resume();
    fixture.run();
    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void aLastBlockThatCameWhileParkedCompletesAfterTheHandoverWasRefused() throws IOException {
    Volume volume = fixture.fetching(SIZE, 7);
    fixture.file().hold();
    fixture.peer.reads(Role.BULK).get(0).data(7 * BLOCK, bytes(BLOCK, 1));
    quiesce(volume);
    fixture.file().flow();
    fixture.run();
    assertThat(volume.record().state()).isEqualTo(VolumeState.FETCHING);

    volume.resume();
    fixture.run();

    assertThat(volume.record().state()).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void aRelayKilledBetweenLastBlockAndRecordCompletesAfterItsStart() throws IOException {
    fixture.fetching(SIZE, 7);
    fixture.peer.reads(Role.BULK).get(0).data(7 * BLOCK, bytes(BLOCK, 1));
    fixture.loop.kill();

    VolumeFixture next = fixture.restarted();
    next.run();

    assertThat(next.volumes.byName(VolumeFixture.NAME).record().state())
        .isEqualTo(VolumeState.SERVING);
  }

  @Test
  void aStandbyThatStillCopiesBecomesCompleteAndStaysAStandby() throws IOException {
    Volume volume = fixture.fetching(SIZE, 7);
    fixture.release(volume, "c");
    VolumeRecord attached = volume.record().attached(new Epoch(3, "c"), null);
    fixture.storage.commit(List.of(attached));
    volume.become(attached);

    fixture.peer.reads(Role.BULK).get(0).data(7 * BLOCK, bytes(BLOCK, 1));
    fixture.run();
    fixture.peer.reads(Role.BULK).stream()
        .findFirst()
        .ifPresent(call -> call.data(7 * BLOCK, bytes(BLOCK, 1)));
    fixture.run();

    assertThat(volume.record().state()).isEqualTo(VolumeState.STANDBY);
    assertThat(volume.record().held()).isEqualTo(VolumeRecord.Held.ALL);
  }
}
