// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The cases that a server on a good day doesn't meet. */
class SocketFileTest {
  @TempDir Path directory;

  @Test
  void failureToPublishNamesTheFileAndTheMode() throws IOException {
    Path path = directory.resolve("nbd.sock");
    SocketFile file = new SocketFile(path);
    file.prepare();
    assertThatThrownBy(() -> file.publish(PosixFilePermissions.fromString("rw-rw----")))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith("Can't make " + path + " a socket with mode rw-rw----: ");
  }

  @Test
  void leftoverOfAStartThatWasKilledIsRemoved() throws IOException {
    Path leftover = Files.createFile(directory.resolve("nbd.sock.new"));
    assertThat(new SocketFile(directory.resolve("nbd.sock")).prepare()).isEqualTo(leftover);
    assertThat(leftover).doesNotExist();
  }

  @Test
  void removingWhatIsGoneIsNoError() {
    SocketFile file = new SocketFile(directory.resolve("nbd.sock"));
    assertThatCode(file::remove).doesNotThrowAnyException();
  }
}
