// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.disk;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.VolumeStorage.Found;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Records as the next process finds them. */
final class DiskStorageTest {
  @TempDir Path directory;

  private DiskStorage storage() throws IOException {
    return new DiskStorage(
        directory.resolve("state"),
        directory.resolve("run"),
        new UUID(1, 1),
        Runnable::run,
        Runnable::run);
  }

  @Test
  void theTimeOfCompletionSurvivesAndCanBeReadByPeople() throws IOException {
    Instant noon = Instant.parse("2026-11-21T12:00:00.123456Z");
    VolumeRecord created = VolumeRecord.created("vol", new UUID(1, 2), 8192, "a");
    VolumeRecord copy = created.released(new Epoch(2, "b"), noon).completeAt("b", noon);
    DiskStorage before = storage();
    before.create(created).close();
    before.commit(List.of(copy));

    List<Found> found = storage().load();

    assertThat(found).extracting(Found::failure).containsOnlyNulls();
    assertThat(found).extracting(each -> each.replica().record()).containsExactly(copy);
    found.get(0).replica().file().close();
    assertThat(Files.readString(directory.resolve("state/volumes/vol/volume.state")))
        .contains("\"completeSince\" : \"2026-11-21T12:00:00.123456Z\"");
  }
}
