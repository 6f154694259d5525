// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The clients that people use. Each test is skipped where its client isn't installed. */
@Timeout(60)
class RealClientsTest {
  private final EventLoopGroup group =
      new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
  private final MemoryExport export = MemoryExport.writable(16 << 20);
  @TempDir Path directory;
  private Path socket;
  private NbdServer server;

  @BeforeEach
  void start() throws IOException {
    socket = directory.resolve("nbd.sock");
    server = NbdServer.start(group, export, socket, PosixFilePermissions.fromString("rw-------"));
  }

  @AfterEach
  void stop() {
    server.stop(Duration.ZERO).toCompletableFuture().join();
    group.shutdownGracefully(0, 5, SECONDS).syncUninterruptibly();
  }

  /** Runs a client to its end and gives what it said; it must succeed. */
  private String run(String... command) throws IOException, InterruptedException {
    boolean installed =
        Stream.of(System.getenv("PATH").split(":"))
            .anyMatch(directory -> Files.isExecutable(Path.of(directory, command[0])));
    assumeTrue(installed, command[0] + " is not installed; this test needs it");
    Path output = directory.resolve("output");
    Process client =
        new ProcessBuilder(command)
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    try {
      int status = client.waitFor();
      String said = Files.readString(output, StandardCharsets.UTF_8);
      assertThat(status).as(said).isZero();
      return said;
    } finally {
      client.destroyForcibly();
    }
  }

  private String uri() {
    return "nbd+unix:///disk?socket=" + socket;
  }

  @Test
  void nbdinfoDescribesTheExport() throws Exception {
    assertThat(run("nbdinfo", "--json", uri()))
        .contains("\"export-size\": 16777216", "\"base:allocation\"")
        .contains("\"can_fast_zero\": true", "\"can_df\": true", "\"can_multi_conn\": true")
        .contains("\"block_size_minimum\": 1", "\"block_size_maximum\": 33554432");
  }

  @Test
  void nbdinfoListsTheExports() throws Exception {
    export.otherwise = export.find("disk");
    assertThat(run("nbdinfo", "--list", "nbd+unix://?socket=" + socket))
        .contains("nbd+unix:///disk?", "nbd+unix:///zweite%20Platte?");
  }

  @Test
  void nbdinfoMapsTheExport() throws Exception {
    assertThat(
            run("nbdinfo", "--map", uri()).lines().limit(2).map(line -> line.replaceAll(" +", " ")))
        .containsExactly(" 0 4096 0 data", " 4096 4096 3 hole,zero");
  }

  @Test
  void qemuIoReadsAndWrites() throws Exception {
    String url = "nbd+unix:///disk?socket=" + socket;
    run(
        "qemu-io",
        "-f",
        "raw",
        "-c",
        "write -P 0xa5 1000 70000",
        "-c",
        "write -f -P 0x5a 512 512",
        "-c",
        "read -P 0xa5 1024 69976",
        "-c",
        "write -z 8192 4096",
        "-c",
        "read -P 0 8192 4096",
        "-c",
        "discard 65536 4096",
        "-c",
        "flush",
        url);
    assertThat(Arrays.copyOfRange(export.data, 512, 1024)).containsOnly(0x5a);
    assertThat(export.calls).anyMatch(call -> call.startsWith("trim 65536+4096"));
    assertThat(export.calls).contains("flush");
    // The process may end before the server has seen its DISC.
    await().untilAsserted(() -> assertThat(export.calls).contains("closed orderly=true"));
  }

  @Test
  void nbdcopyCopiesBothWays() throws Exception {
    Path file = directory.resolve("copy");
    byte[] original = export.data.clone();
    run("nbdcopy", uri(), file.toString());
    // The export calls every other 4096 bytes a hole, so the client leaves them out.
    byte[] copied = Files.readAllBytes(file);
    for (int at = 0; at < copied.length; at += 8192) {
      assertThat(Arrays.equals(copied, at, at + 4096, original, at, at + 4096)).isTrue();
    }
    Files.write(file, original);
    Arrays.fill(export.data, (byte) 7);
    run("nbdcopy", file.toString(), uri());
    assertThat(Arrays.equals(export.data, original)).isTrue();
  }

  @Test
  void fioVerifiesWhatItWrites() throws Exception {
    run(
        "fio",
        "--name=verify",
        "--ioengine=nbd",
        "--uri=" + uri(),
        "--thread",
        "--size=16m",
        "--rw=randwrite",
        "--bsrange=512-256k",
        "--iodepth=32",
        "--verify=crc32c",
        "--output=" + directory.resolve("fio.log"));
    assertThat(export.calls).anyMatch(call -> call.startsWith("write"));
  }
}
