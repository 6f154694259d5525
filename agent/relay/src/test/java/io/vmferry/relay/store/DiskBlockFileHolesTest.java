// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Zeroing, with and without space, and which ranges have data. */
final class DiskBlockFileHolesTest extends DiskBlockFileFixture {
  @Test
  void aHoleIsZeroesAndGivesSpaceBack() throws IOException {
    write(0, random(1 << 20, 1));
    file.force(note("force"));
    settle();
    long before = file.allocated();

    file.zero(4096, 1 << 19, true, note("zero"));
    settle();

    assertThat(before - file.allocated()).isEqualTo(1 << 19);
    holds(4096, Unpooled.wrappedBuffer(new byte[1 << 19]));
    holds(0, random(1 << 20, 1).slice(0, 4096));
  }

  @Test
  void x24x34AllocatedZeroesHaveSpace() {
    file.zero(0, 1 << 20, false, note("zero"));
    settle();

    assertThat(file.allocated()).isGreaterThanOrEqualTo(1 << 20);
    holds(0, Unpooled.wrappedBuffer(new byte[1 << 20]));
  }

  @Test
  void zeroHasAWayOnEachFileSystem() {
    int unsupported = -Errno.EOPNOTSUPP;
    for (boolean punch : new boolean[] {true, false}) {
      for (int missing = 0; missing <= 3; missing++) {
        write(0, random(10_000, 1));
        for (int i = 0; i < missing; i++) {
          syscalls.script("fallocate", unsupported);
        }
        file.zero(100, 9_000, punch, note("zero"));
        settle();
        holds(100, Unpooled.wrappedBuffer(new byte[9_000]));
        ByteBuf whole = random(10_000, 1);
        holds(9_100, whole.slice(9_100, 900));
        syscalls.script("fallocate");
      }
    }
  }

  @Test
  void aFailedZeroIsReported() {
    syscalls.script("fallocate", -Errno.ENOSPC);
    file.zero(0, 4096, false, note("zero"));
    settle();

    assertThat(answers.get(0)).contains("fallocate").contains("ENOSPC");
  }

  private List<String> extents(long offset, long length) {
    List<String> found = new ArrayList<>();
    file.extents(
        offset,
        length,
        (at, size, hole) -> found.add(at + "+" + size + (hole ? " hole" : "")),
        note("extents"));
    assertThat(found).isEmpty();
    settle();
    return found;
  }

  @Test
  void x34TellsHolesFromData() {
    write(1 << 20, random(1 << 16, 1));

    assertThat(extents(0, SIZE))
        .containsExactly(
            "0+1048576 hole", "1048576+65536", "1114112+" + (SIZE - 1114112) + " hole");
    assertThat(extents((1 << 20) + 100, 200)).containsExactly("1048676+200");
  }

  @Test
  void tellsHolesFromDataInAFileOfManyPieces() {
    int pieces = 5 * DiskBlockFile.FIRST_EXTENTS;
    for (int i = 0; i < pieces; i++) {
      write(2L * i * 4096, random(4096, i));
    }

    List<String> found = extents(0, 2L * pieces * 4096);

    assertThat(found).hasSize(2 * pieces).doesNotHaveDuplicates();
    assertThat(found).startsWith("0+4096", "4096+4096 hole", "8192+4096");
    assertThat(found).endsWith((2L * pieces - 1) * 4096 + "+4096 hole");
  }

  @Test
  void looksForNoMoreExtentsThanTheVisitorWants() {
    for (int i = 0; i < 5 * DiskBlockFile.FIRST_EXTENTS; i++) {
      write(2L * i * 4096, random(4096, i));
    }
    long before = syscalls.count("lseek");

    file.extents(0, SIZE, (at, length, hole) -> false, note("extents"));
    settle();

    assertThat(answers).endsWith("extents");
    assertThat(syscalls.count("lseek") - before).isBetween(1L, 2L * DiskBlockFile.FIRST_EXTENTS);
  }

  @Test
  void allIsDataWhereHolesAreUnknown() {
    syscalls.script("lseek", -Errno.EINVAL, -Errno.EINVAL);

    assertThat(extents(0, SIZE)).containsExactly("0+" + SIZE);
  }

  @Test
  void anErrorWhileLookingForHolesIsReported() {
    syscalls.script("lseek", -Errno.EIO);

    assertThat(extents(0, SIZE)).isEmpty();
    assertThat(answers.get(0)).contains("lseek").contains("EIO");
  }
}
