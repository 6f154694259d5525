// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.ResourceLeakDetector;
import io.vmferry.config.PreCopyMode;
import io.vmferry.nbd.NbdExport;
import io.vmferry.nbd.NbdExports;
import io.vmferry.nbd.NbdServer;
import io.vmferry.relay.disk.DiskStorage;
import io.vmferry.relay.exec.DiskTasks;
import io.vmferry.relay.exec.NettyLoop;
import io.vmferry.relay.exec.RequestCount;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.BootId;
import io.vmferry.relay.map.HeapBlockMap;
import java.io.DataInputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a request that the page cache answers costs the heap, from the socket to the file and back:
 * nothing. A real server, a real volume, a real file.
 */
@Timeout(60)
final class HotPathAllocationTest {
  private static final long SIZE = 1 << 20;

  /** Of one measurement. */
  private static final int REQUESTS = 1_000;

  /**
   * Measurements at most; the least one counts. Before all is compiled, and lists are as large as
   * they get, requests cost more; and after a write that had to wait, as on a busy machine, disk
   * threads make the next ones for a while, with one object each.
   */
  private static final int MEASUREMENTS = 300;

  /** Bytes; below that nothing is allocated for each, but now and then something for many. */
  private static final double LEAST_OBJECT = 8;

  private static final int READ = 0;
  private static final int WRITE = 1;

  private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private final EventLoopGroup group =
      new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
  private final NettyLoop loop = new NettyLoop(group.next());
  private final ExecutorService disk = Executors.newFixedThreadPool(2);
  private final ResourceLeakDetector.Level leakDetection = ResourceLeakDetector.getLevel();
  @TempDir Path folder;
  private Volume volume;
  private NbdServer server;
  private SocketChannel client;
  private DataInputStream answers;

  @BeforeEach
  void start() throws Exception {
    ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.DISABLED); // it allocates for each
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
    ResourceLeakDetector.setLevel(leakDetection);
    client.close();
    server.stop(Duration.ZERO).toCompletableFuture().join();
    CompletableFuture<Void> closed = new CompletableFuture<>();
    loop.execute(() -> volume.close("the test is over", () -> closed.complete(null)));
    closed.get();
    group.shutdownGracefully(0, 5, SECONDS).syncUninterruptibly();
    disk.shutdown();
  }

  @Test
  void readsAllocateNothing() throws Exception {
    assertThat(allocatedPerRequest(READ)).isLessThan(LEAST_OBJECT);
  }

  @Test
  void writesAllocateNothing() throws Exception {
    assertThat(allocatedPerRequest(WRITE)).isLessThan(LEAST_OBJECT);
  }

  @Test
  void writesThatAreMarkedForAnotherReplicaAllocateNothing() throws Exception {
    BlockMap stale = HeapBlockMap.allClear(SIZE / BlockGrid.BLOCK);
    CompletableFuture.runAsync(() -> volume.replicas().put("elsewhere", stale), loop).get();
    assertThat(allocatedPerRequest(WRITE)).isLessThan(LEAST_OBJECT);
    assertThat(stale.cardinality()).isEqualTo(SIZE / BlockGrid.BLOCK);
  }

  private double allocatedPerRequest(int command) throws Exception {
    long loopThread =
        CompletableFuture.supplyAsync(() -> Thread.currentThread().getId(), loop).get();
    double least = Double.MAX_VALUE;
    for (int i = 0; i < MEASUREMENTS && least >= LEAST_OBJECT; i++) {
      long before = threads.getThreadAllocatedBytes(loopThread);
      ask(command, REQUESTS);
      long allocated = threads.getThreadAllocatedBytes(loopThread) - before;
      least = Math.min(least, (double) allocated / REQUESTS);
    }
    return least;
  }

  private void ask(int command, int times) throws IOException {
    byte[] data = new byte[BlockGrid.BLOCK];
    ByteBuffer request = ByteBuffer.allocate(28 + (command == WRITE ? data.length : 0));
    for (int i = 0; i < times; i++) {
      long offset = (long) i * BlockGrid.BLOCK % SIZE;
      request.clear();
      request.putInt(0x25609513).putShort((short) 0).putShort((short) command);
      request.putLong(i).putLong(offset).putInt(data.length).rewind();
      send(request);
      answers.readInt();
      assertThat(answers.readInt()).isZero();
      assertThat(answers.readLong()).isEqualTo(i);
      if (command == READ) {
        answers.readFully(data);
      }
    }
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
