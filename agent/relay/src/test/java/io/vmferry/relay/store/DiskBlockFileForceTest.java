// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import org.junit.jupiter.api.Test;

/** What a force covers, and which failures make it fail for ever. */
final class DiskBlockFileForceTest extends DiskBlockFileFixture {
  @Test
  void aFailedReadDoesNotPoison() {
    syscalls.script("preadv2", -Errno.EIO);
    ByteBuf target = Unpooled.directBuffer(10);
    file.read(0, target, 10, note("read"));
    file.force(note("force"));
    settle();

    assertThat(answers.get(0)).contains("EIO");
    assertThat(answers.get(1)).isEqualTo("force");
    target.release();
  }

  @Test
  void forcesThatWaitShareOne() {
    file.force(note("first"));
    file.force(note("second"));
    file.force(note("third"));
    settle();

    assertThat(answers).containsExactly("first", "second", "third");
    assertThat(syscalls.count("fdatasync")).isEqualTo(2);
  }

  @Test
  void aForceAskedForDuringAnotherIsNotCoveredByIt() {
    syscalls.inForce = () -> file.force(note("second"));
    file.force(note("first"));
    io.remove().run();
    loop.remove().run();

    assertThat(answers).containsExactly("first");
    settle();
    assertThat(answers).containsExactly("first", "second");
    assertThat(syscalls.count("fdatasync")).isEqualTo(2);
  }

  @Test
  void aFailedForcePoisonsForEver() {
    syscalls.script("fdatasync", -Errno.EIO);
    file.force(note("first"));
    file.force(note("second"));
    settle();
    file.force(note("third"));
    settle();

    assertThat(answers).hasSize(3).allMatch(answer -> answer.contains("poisoned"));
    assertThat(answers.get(2)).contains("EIO").contains("restart the relay");
    assertThat(syscalls.count("fdatasync")).isEqualTo(1);
  }

  @Test
  void aFailedWritePoisonsForce() {
    syscalls.script("pwritev2", -Errno.EAGAIN);
    syscalls.script("pwrite", -Errno.EIO);
    write(0, random(4096, 1));
    file.force(note("force"));
    settle();

    assertThat(answers.get(0)).contains("pwrite of " + path).contains("EIO");
    assertThat(answers.get(1)).startsWith("force: ").contains("poisoned");
  }

  @Test
  void aWriteThatFailsDuringAForcePoisonsThatForceToo() {
    file.force(note("force"));
    syscalls.script("pwritev2", -Errno.EIO);
    write(0, random(4096, 1));

    assertThat(answers.get(0)).contains("EIO");
    assertThat(answers.get(1)).contains("poisoned");
  }

  @Test
  void x28NoSpaceAndNoQuotaDoNotPoison() {
    syscalls.script("pwritev2", -Errno.ENOSPC, -Errno.EDQUOT);
    write(0, random(4096, 1));
    write(0, random(4096, 1));
    file.force(note("force"));
    settle();

    assertThat(answers.get(0)).contains("ENOSPC");
    assertThat(answers.get(1)).contains("EDQUOT");
    assertThat(answers.get(2)).isEqualTo("force");
  }
}
