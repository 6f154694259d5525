// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.netty.channel.DefaultFileRegion;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.FileRegion;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import java.io.File;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What only a real socket shows. */
@Timeout(30)
class NbdServerTest {
  private static final Set<PosixFilePermission> MODE = PosixFilePermissions.fromString("rw-rw----");
  private static final Duration GRACE = Duration.ofSeconds(20);

  /** Bytes of a read that may be sent from a file. */
  private static final int LARGE = NbdLimits.MIN_FILE_REPLY_BYTES;

  private final EventLoopGroup group =
      new MultiThreadIoEventLoopGroup(2, EpollIoHandler.newFactory());
  private final MemoryExport export = MemoryExport.writable(32 << 20);
  @TempDir Path directory;
  private Path socket;
  private NbdServer server;

  @BeforeEach
  void start() throws IOException {
    socket = directory.resolve("nbd.sock");
    server = NbdServer.start(group, export, socket, MODE);
  }

  @AfterEach
  void stop() {
    server.stop(Duration.ZERO).toCompletableFuture().join();
    group.shutdownGracefully(0, 5, SECONDS).syncUninterruptibly();
  }

  @Test
  void socketFileHasTheModeGiven() throws IOException {
    assertThat(Files.getPosixFilePermissions(socket)).isEqualTo(MODE);
  }

  @Test
  void clientIsIdentifiedByTheKernel() throws IOException {
    try (TestClient client = TestClient.transmitting(socket)) {
      assertThat(client).isNotNull();
      assertThat(export.client.pid()).isEqualTo((int) ProcessHandle.current().pid());
      assertThat(export.client.uid()).isEqualTo(Files.getAttribute(socket, "unix:uid"));
      assertThat(export.client).asString().startsWith("NBD client 1 (pid ");
    }
  }

  @Test
  void readsWhatWasWritten() throws IOException {
    byte[] data = new byte[1 << 20];
    Arrays.fill(data, (byte) 0x5a);
    try (TestClient client = TestClient.transmitting(socket)) {
      client.send(new ClientBytes().write(1, 4097, data));
      assertThat(client.received.reply().error()).isZero();
      client.send(new ClientBytes().read(2, 4097, data.length));
      byte[] read = new byte[data.length];
      client.received.reply().data().position(8).get(read);
      assertThat(read).isEqualTo(data);
    }
  }

  @Test
  void aLargeReadIsSentFromItsFile() throws IOException {
    exportHasFile();
    try (TestClient client = TestClient.transmitting(socket)) {
      client.send(new ClientBytes().read(1, 777, LARGE).read(2, 5, 100).read(3, 0, LARGE));
      assertThat(client.received.reply(1).data().position(8))
          .isEqualTo(ByteBuffer.wrap(export.data, 777, LARGE));
      assertThat(client.received.reply(2).data().position(8))
          .isEqualTo(ByteBuffer.wrap(export.data, 5, 100));
      assertThat(client.received.reply(3).data().position(8))
          .isEqualTo(ByteBuffer.wrap(export.data, 0, LARGE));
      assertThat(export.sentFromFile).hasValue(2);
    }
  }

  @Test
  void whatAClientDoesNotTakeIsNotKeptInFiles() throws IOException {
    exportHasFile();
    int times = 100;
    try (TestClient client = TestClient.transmitting(socket)) {
      ClientBytes requests = new ClientBytes();
      for (int i = 0; i < times; i++) {
        requests.read(i, i * 1000L, LARGE);
      }
      client.send(requests);
      await().until(() -> export.requests().size() >= 10);
      for (int i = 0; i < times; i++) {
        assertThat(client.received.reply(i).data().position(8))
            .isEqualTo(ByteBuffer.wrap(export.data, i * 1000, LARGE));
      }
      int socketHolds = 2 * NbdLimits.SOCKET_SEND_BYTES / LARGE; // Linux doubles what it is told
      assertThat(export.sentFromFile).hasValueBetween(1, socketHolds + 1);
      assertThat(export.sentFromFile.get() + export.requests().size()).isEqualTo(times);
    }
  }

  @Test
  void aLargeReadBehindOthersThatAreNotTakenIsNotSentFromItsFile() throws IOException {
    exportHasFile();
    int small = LARGE - 1;
    int times = 3 * NbdLimits.SOCKET_SEND_BYTES / small;
    try (TestClient client = TestClient.transmitting(socket)) {
      ClientBytes requests = new ClientBytes();
      for (int i = 0; i < times; i++) {
        requests.read(i, 0, small);
      }
      client.send(requests.read(times, 0, LARGE));
      await().until(() -> export.requests().size() == times + 1);
      for (int i = 0; i <= times; i++) {
        assertThat(client.received.reply(i).error()).isZero();
      }
      assertThat(export.sentFromFile).hasValue(0);
    }
  }

  @Test
  void aRangeIsSentInsideTheCall() throws IOException {
    export.holding = true;
    try (TestClient client = TestClient.transmitting(socket)) {
      client.send(new ClientBytes().read(1, 0, LARGE));
      await().until(() -> !export.held.isEmpty());
      FileRegion region = new DefaultFileRegion(exportHasFile(), 0, LARGE);
      export.onItsLoop(
          () -> {
            export.lastRead.success(region);
            assertThat(region.transferred()).isEqualTo(LARGE);
          });
      assertThat(client.received.reply().data().position(8))
          .isEqualTo(ByteBuffer.wrap(export.data, 0, LARGE));
    }
  }

  @Test
  void aFileForAClientThatIsGoneIsGivenBack() throws IOException {
    export.holding = true;
    TestClient client = TestClient.transmitting(socket);
    client.send(new ClientBytes().read(1, 0, LARGE));
    await().until(() -> !export.held.isEmpty());
    client.close();
    await().until(() -> export.calls.contains("closed orderly=false"));

    FileRegion region = new DefaultFileRegion(exportHasFile(), 0, LARGE);
    export.onItsLoop(() -> export.lastRead.success(region));

    assertThat(region.refCnt()).isZero();
  }

  @Test
  void aRangeOfAnotherLengthIsNotASuccess() throws IOException {
    export.holding = true;
    try (TestClient client = TestClient.transmitting(socket)) {
      client.send(new ClientBytes().read(1, 0, LARGE));
      await().until(() -> !export.held.isEmpty());
      FileRegion region = new DefaultFileRegion(exportHasFile(), 0, LARGE - 1);
      export.onItsLoop(
          () -> {
            assertThatThrownBy(() -> export.lastRead.success(region))
                .hasMessage("READ succeeded with 1 bytes missing");
            export.lastRead.fail(NbdError.EIO, "short");
          });
      assertThat(region.refCnt()).isZero();
      assertThat(client.received.reply().error()).isEqualTo(5);
    }
  }

  private File exportHasFile() throws IOException {
    File file = directory.resolve("content").toFile();
    Files.write(file.toPath(), export.data);
    export.file = file;
    return file;
  }

  @Test
  void h02NothingIsSentBeforeTheClientFlags() throws IOException {
    try (TestClient client = new TestClient(socket)) {
      client.received.skipGreeting();
      client.send(new ClientBytes().flags(3).option(2));
      assertThat(client.received.optionReply().option()).isEqualTo(2);
      assertThat(client.received.atEnd()).isTrue();
    }
  }

  @Test
  void h12HandshakesAreBoundedAndTheOthersWait() throws Exception {
    List<TestClient> idle = new ArrayList<>();
    try (TestClient working = TestClient.transmitting(socket)) {
      for (int i = 0; i < 100; i++) {
        TestClient client = new TestClient(socket);
        idle.add(client);
        client.received.skipGreeting();
      }
      try (TestClient late = new TestClient(socket)) {
        CompletableFuture<byte[]> greeting =
            CompletableFuture.supplyAsync(() -> late.received.raw(18));
        working.send(new ClientBytes().read(1, 0, 8));
        working.received.reply();
        assertThat(greeting).isNotDone();
        idle.get(0).close();
        assertThat(greeting.get()).hasSize(18);
      }
    } finally {
      for (TestClient client : idle) {
        client.close();
      }
    }
  }

  @Test
  void negotiatedClientsDoNotCountAsHandshakes() throws IOException {
    List<TestClient> clients = new ArrayList<>();
    try {
      for (int i = 0; i < 110; i++) {
        clients.add(TestClient.transmitting(socket));
      }
    } finally {
      for (TestClient client : clients) {
        client.close();
      }
    }
    await().until(() -> export.calls.stream().filter(c -> c.startsWith("closed")).count() == 110);
  }

  @Test
  void staleSocketFileIsReplaced() throws IOException {
    Path stale = directory.resolve("stale.sock");
    try (ServerSocketChannel killed = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      killed.bind(UnixDomainSocketAddress.of(stale));
    }
    assertThat(stale).exists();
    NbdServer second = NbdServer.start(group, export, stale, MODE);
    TestClient.transmitting(stale).close();
    second.stop(Duration.ZERO).toCompletableFuture().join();
  }

  @Test
  void socketOfALiveProcessIsRespected() throws IOException {
    assertThatThrownBy(() -> NbdServer.start(group, export, socket, MODE))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "A process already listens on %s: stop it, or configure another socket path", socket);
    TestClient.transmitting(socket).close();
  }

  @Test
  void fileThatIsNotASocketIsRespected() throws IOException {
    Path file = Files.writeString(directory.resolve("precious"), "data");
    assertThatThrownBy(() -> NbdServer.start(group, export, file, MODE))
        .hasMessageContaining("is not a socket");
    assertThat(file).hasContent("data");
  }

  @Test
  void impossiblePathIsNamed() {
    Path impossible = directory.resolve("missing/nbd.sock");
    assertThatThrownBy(() -> NbdServer.start(group, export, impossible, MODE))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("Can't listen on " + impossible);
  }

  @Test
  void stopRemovesTheSocketFile() {
    server.stop(GRACE).toCompletableFuture().join();
    assertThat(socket).doesNotExist();
  }

  @Test
  void stopLeavesASocketFileThatIsNotItsOwn() throws IOException {
    Files.delete(socket);
    Files.writeString(socket, "somebody else's");
    server.stop(GRACE).toCompletableFuture().join();
    assertThat(socket).exists();
  }

  @Test
  void x32cve20247409StopEndsIdleClientsAtOnce() throws IOException {
    List<TestClient> idle = new ArrayList<>();
    for (int i = 0; i < 30; i++) {
      idle.add(new TestClient(socket));
      idle.get(i).received.skipGreeting();
    }
    idle.add(TestClient.transmitting(socket));
    server.stop(GRACE).toCompletableFuture().join();
    for (TestClient client : idle) {
      assertThat(client.received.atEnd()).isTrue();
      client.close();
    }
  }

  @Test
  void x32StopWaitsForWhatIsInFlight() throws Exception {
    export.holding = true;
    try (TestClient client = TestClient.transmitting(socket)) {
      client.send(new ClientBytes().read(1, 0, 8));
      await().until(() -> !export.held.isEmpty());
      export.holding = false;
      CompletionStage<Void> stopped = server.stop(GRACE);
      await()
          .until(
              () -> {
                client.send(new ClientBytes().read(2, 0, 8));
                return client.received.reply().error() == 108;
              });
      assertThat(stopped.toCompletableFuture()).isNotDone();
      export.onItsLoop(export::releaseAll);
      assertThat(client.received.reply().cookie()).isEqualTo(1);
      assertThat(client.received.atEnd()).isTrue();
      stopped.toCompletableFuture().get();
    }
  }

  @Test
  void stopIsBoundedByItsGrace() throws Exception {
    export.holding = true;
    try (TestClient client = TestClient.transmitting(socket)) {
      client.send(new ClientBytes().read(1, 0, 8));
      await().until(() -> !export.held.isEmpty());
      server.stop(Duration.ofMillis(50)).toCompletableFuture().get();
      assertThat(client.received.atEnd()).isTrue();
    }
    export.onItsLoop(export::releaseAll);
  }

  @Test
  void replyOnAnotherThreadThrows() throws Exception {
    export.holding = true;
    try (TestClient client = TestClient.transmitting(socket)) {
      client.send(new ClientBytes().read(1, 0, 8));
      await().until(() -> !export.held.isEmpty());
      assertThatThrownBy(() -> export.held.peek().run())
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("event loop");
      export.onItsLoop(export::releaseAll);
      assertThat(client.received.reply().error()).isZero();
    }
  }

  @Test
  void clientThatDoesNotReadStopsBeingServed() throws Exception {
    try (TestClient client = TestClient.transmitting(socket)) {
      int requests = 100;
      ClientBytes reads = new ClientBytes();
      for (int i = 0; i < requests; i++) {
        reads.read(i, 0, 1 << 20);
      }
      client.send(reads);
      // 8 MiB unsent is the limit; the socket itself takes less than 1 MiB.
      await().until(() -> export.requests().size() >= 8);
      export.onItsLoop(() -> {});
      assertThat(export.requests()).hasSizeLessThan(12);
      try (TestClient other = TestClient.transmitting(socket)) {
        other.send(new ClientBytes().read(7, 0, 8));
        assertThat(other.received.reply().cookie()).isEqualTo(7);
      }
      for (int i = 0; i < requests; i++) {
        assertThat(client.received.reply().error()).isZero();
      }
    }
  }

  @Test
  void x30VanishingClientsHurtNobody() throws Exception {
    try (TestClient other = TestClient.transmitting(socket)) {
      for (int i = 0; i < 20; i++) {
        TestClient inPayload = TestClient.transmitting(socket);
        inPayload.send(new ClientBytes().request(0, 1, 1, 0, 1 << 20).raw(new byte[1000]));
        inPayload.close();
        TestClient withReplies = TestClient.transmitting(socket);
        withReplies.send(new ClientBytes().read(1, 0, 8 << 20).read(2, 0, 8 << 20));
        withReplies.close();
      }
      other.send(new ClientBytes().read(7, 0, 8));
      assertThat(other.received.reply().cookie()).isEqualTo(7);
      await()
          .until(() -> export.calls.stream().filter("closed orderly=false"::equals).count() == 40);
    }
  }

  @Test
  void discIsAnOrderlyEnd() throws Exception {
    try (TestClient client = TestClient.transmitting(socket)) {
      client.send(new ClientBytes().disc());
      assertThat(client.received.atEnd()).isTrue();
      await().until(() -> export.calls.contains("closed orderly=true"));
    }
  }
}
