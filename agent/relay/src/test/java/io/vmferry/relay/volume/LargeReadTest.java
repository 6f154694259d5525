// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Large reads, which are sent from the file where the page cache has it: a real server, a real
 * volume, a real file.
 */
final class LargeReadTest extends ServedVolumeFixture {
  private static final int LENGTH = 256 << 10;
  private static final byte[] NONE = {};

  private final byte[] content = new byte[(int) SIZE];

  @BeforeEach
  void fill() throws IOException {
    new Random(1).nextBytes(content);
    request(WRITE, 1, 0, content.length, content);
    answered(1);
  }

  @Test
  void aClientThatTakesItsTimeGetsEveryByte() throws Exception {
    int times = 200;
    for (int i = 0; i < times; i++) {
      request(READ, i, offset(i), LENGTH, NONE);
    }
    // All that the loop can do without the client is done.
    CompletableFuture.runAsync(() -> {}, loop).get();

    for (int i = 0; i < times; i++) {
      answered(i);
      isContent(offset(i));
    }
  }

  @Test
  void aReadSeesTheWriteThatWasAnsweredBeforeIt() throws Exception {
    Random random = new Random(2);
    byte[] part = new byte[100_000];
    for (int i = 0; i < 200; i++) {
      int at = random.nextInt((int) SIZE - part.length);
      random.nextBytes(part);
      request(WRITE, i, at, part.length, part);
      answered(i);
      System.arraycopy(part, 0, content, at, part.length);
      int offset = Math.min(at, (int) SIZE - LENGTH);
      request(READ, i, offset, LENGTH, NONE);
      answered(i);
      isContent(offset);
    }
  }

  @Test
  void aClientThatGoesAwayDoesNotKeepTheFileOpen() throws Exception {
    for (int i = 0; i < 50; i++) {
      request(READ, i, offset(i), LENGTH, NONE);
    }
    disconnect();

    // Closing it waits for what is under way.
    closeVolume();

    assertThat(openFiles())
        .noneMatch(file -> file.startsWith(folder.resolve("state/volumes").toString()));
  }

  private static int offset(int number) {
    return number * 12_345 % ((int) SIZE - LENGTH);
  }

  private void isContent(int offset) throws IOException {
    byte[] found = new byte[LENGTH];
    answers.readFully(found);
    assertThat(Arrays.mismatch(found, Arrays.copyOfRange(content, offset, offset + LENGTH)))
        .isEqualTo(-1);
  }

  private static List<String> openFiles() throws IOException {
    List<String> files = new ArrayList<>();
    try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path descriptor : descriptors) {
        try {
          files.add(Files.readSymbolicLink(descriptor).toString());
        } catch (NoSuchFileException e) {
          // Closed meanwhile.
        }
      }
    }
    return files;
  }
}
