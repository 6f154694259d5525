// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.vmferry.config.PreCopyMode;
import io.vmferry.nbd.NbdExport;
import io.vmferry.nbd.NbdExports;
import io.vmferry.nbd.NbdServer;
import io.vmferry.relay.disk.DiskStorage;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.NettyLoop;
import io.vmferry.relay.exec.RequestCount;
import io.vmferry.relay.map.BootId;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A client's connection to a real server that serves a real volume, whose data is a real file. */
@Timeout(60)
abstract class ServedVolumeFixture {
  static final long SIZE = 1 << 20;
  static final int READ = 0;
  static final int WRITE = 1;

  private final EventLoopGroup group =
      new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
  final NettyLoop loop = new NettyLoop(group.next());
  private final ExecutorService disk = Executors.newFixedThreadPool(2);
  @TempDir Path folder;
  Volume volume;
  private boolean volumeClosed;
  private NbdServer server;
  private SocketChannel client;
  DataInputStream answers;

  @BeforeEach
  void start() throws Exception {
    DiskStorage storage =
        new DiskStorage(
            folder.resolve("state"), folder.resolve("run"), BootId.current(), loop, disk);
    DiskTasks tasks = new DiskTasks(disk, loop);
    Volumes volumes =
        new Volumes(
            "here",
            new VolumeEnvironment(
                loop,
                new RequestCount(),
                tasks,
                storage,
                new Commits(tasks),
                pid -> Optional.of(new LocalProcess(pid, 1)),
                InstantSource.system(),
                node -> null,
                node -> null,
                new NoSources(),
                () -> PreCopyMode.NONE,
                new Unheard()));
    VolumeRecord record = VolumeRecord.created("disk", UUID.randomUUID(), SIZE, "here");
    volume =
        CompletableFuture.completedFuture(null)
            .thenComposeAsync(now -> volumes.add(record), loop)
            .get();
    Path socket = folder.resolve("nbd.sock");
    server =
        NbdServer.start(
            group, new OneExport(volume), socket, PosixFilePermissions.fromString("rw-------"));
    connect(socket);
  }

  @AfterEach
  void stop() throws Exception {
    disconnect();
    server.stop(Duration.ZERO).toCompletableFuture().join();
    closeVolume();
    group.shutdownGracefully(0, 5, SECONDS).syncUninterruptibly();
    disk.shutdown();
  }

  final void disconnect() throws IOException {
    client.close();
  }

  /** When nothing is under way any more. Once is enough. */
  final void closeVolume() throws Exception {
    if (!volumeClosed) {
      volumeClosed = true;
      CompletableFuture<Void> closed = new CompletableFuture<>();
      loop.execute(() -> volume.close("the test is over", () -> closed.complete(null)));
      closed.get();
    }
  }

  /** The request's number is {@code cookie}; {@code data} is sent with a write. */
  final void request(int command, long cookie, long offset, int length, byte[] data)
      throws IOException {
    ByteBuffer request = ByteBuffer.allocate(28 + data.length);
    request.putInt(0x25609513).putShort((short) 0).putShort((short) command);
    send(request.putLong(cookie).putLong(offset).putInt(length).put(data).flip());
  }

  /** Header of a reply: success of the request with this number. */
  final void answered(long cookie) throws IOException {
    answers.readInt();
    assertThat(answers.readInt()).isZero();
    assertThat(answers.readLong()).isEqualTo(cookie);
  }

  /** The old style of the handshake is the shortest. */
  private void connect(Path socket) throws IOException {
    client = SocketChannel.open(StandardProtocolFamily.UNIX);
    client.connect(UnixDomainSocketAddress.of(socket));
    answers = new DataInputStream(Channels.newInputStream(client));
    answers.readFully(new byte[18]);
    byte[] name = "disk".getBytes(US_ASCII);
    ByteBuffer option = ByteBuffer.allocate(20 + name.length).putInt(3);
    send(option.putLong(0x49484156454F5054L).putInt(1).putInt(name.length).put(name).flip());
    answers.readFully(new byte[10]);
  }

  private void send(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      client.write(bytes);
    }
  }

  private record OneExport(NbdExport export) implements NbdExports {
    @Override
    public List<String> names() {
      return List.of("disk");
    }

    @Override
    public CompletionStage<NbdExport> find(String name) {
      return CompletableFuture.completedFuture(export);
    }
  }
}
