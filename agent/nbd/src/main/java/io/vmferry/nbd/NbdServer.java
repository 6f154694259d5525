// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.channel.unix.PeerCredentials;
import io.netty.util.concurrent.Future;
import io.netty.util.concurrent.GlobalEventExecutor;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An NBD server on a Unix socket: fixed newstyle handshake, no TLS, structured replies and
 * base:allocation. What it serves comes from {@link NbdExports}.
 */
public final class NbdServer {
  private static final Logger log = LoggerFactory.getLogger(NbdServer.class);

  private static final WriteBufferWaterMark UNSENT_BYTES =
      new WriteBufferWaterMark(NbdLimits.RESUME_UNSENT_BYTES, NbdLimits.MAX_UNSENT_BYTES);

  private final EventLoopGroup group;
  private final NbdExports exports;
  private final SocketFile file;
  private final ChannelGroup connections = new DefaultChannelGroup(GlobalEventExecutor.INSTANCE);
  private final AtomicLong clients = new AtomicLong();
  private final AtomicBoolean stopping = new AtomicBoolean();
  private final CompletableFuture<Void> stopped = new CompletableFuture<>();
  private Channel listener;

  private NbdServer(EventLoopGroup group, NbdExports exports, SocketFile file) {
    this.group = group;
    this.exports = exports;
    this.file = file;
  }

  /**
   * Listens on {@code socket}. The file that a killed process left there is replaced; programs that
   * list sockets show it with ".new" behind its name. Blocking: not for event loops.
   *
   * @param group epoll event loops, for all connections; stays the caller's
   * @param mode of the socket file; who may write to it may connect
   * @throws IOException if another process listens there, if the path isn't a socket, or if the
   *     system refuses; the message names the path
   */
  public static NbdServer start(
      EventLoopGroup group, NbdExports exports, Path socket, Set<PosixFilePermission> mode)
      throws IOException {
    SocketFile file = new SocketFile(socket);
    NbdServer server = new NbdServer(group, exports, file);
    server.listen(file.prepare());
    try {
      file.publish(mode);
    } catch (IOException e) {
      server.listener.close().awaitUninterruptibly();
      throw e;
    }
    log.info("NBD server listens on {}", socket);
    return server;
  }

  /**
   * Stops: the socket file goes, nothing is accepted, handshakes end, new requests are answered
   * ESHUTDOWN, and each connection is closed when its requests in flight are answered. Any thread;
   * waits for nothing but the removal of the file; further calls return the same stage.
   *
   * @param grace after this time what is still open is closed, answered or not
   * @return completes when the last connection is closed; never fails
   */
  public CompletionStage<Void> stop(Duration grace) {
    if (stopping.compareAndSet(false, true)) {
      try {
        file.remove();
      } catch (IOException e) {
        log.warn("The socket file is left behind: {}", e.toString());
      }
      listener.close().addListener(closed -> endConnections(grace));
    }
    return stopped.copy();
  }

  private void listen(Path socket) throws IOException {
    AcceptGate gate = new AcceptGate(NbdLimits.MAX_HANDSHAKES);
    ChannelFuture bind =
        new ServerBootstrap()
            .group(group)
            .channel(EpollServerDomainSocketChannel.class)
            .handler(gate)
            .childOption(ChannelOption.ALLOCATOR, PooledByteBufAllocator.DEFAULT)
            .childOption(ChannelOption.WRITE_BUFFER_WATER_MARK, UNSENT_BYTES)
            .childOption(ChannelOption.SO_SNDBUF, NbdLimits.SOCKET_SEND_BYTES)
            .childHandler(
                new ChannelInitializer<EpollDomainSocketChannel>() {
                  @Override
                  protected void initChannel(EpollDomainSocketChannel channel) {
                    connected(channel, gate);
                  }
                })
            .bind(new DomainSocketAddress(socket.toString()))
            .awaitUninterruptibly();
    if (!bind.isSuccess()) {
      throw new IOException(
          "Can't listen on %s: %s".formatted(socket, bind.cause().getMessage()), bind.cause());
    }
    listener = bind.channel();
  }

  private void connected(EpollDomainSocketChannel channel, AcceptGate gate) {
    connections.add(channel);
    if (stopping.get()) {
      var unused = channel.close();
      return;
    }
    channel.config().setRecvByteBufAllocator(new ReceiveBuffers());
    NbdClient client = identify(channel);
    log.debug("{}: connected", client);
    channel
        .pipeline()
        .addLast(new HandshakeHandler(exports, client, () -> gate.handshakeOver(channel)));
  }

  private NbdClient identify(EpollDomainSocketChannel channel) {
    long id = clients.incrementAndGet();
    try {
      PeerCredentials peer = channel.peerCredentials();
      return new NbdClient(id, peer.pid(), peer.uid());
    } catch (IOException e) {
      log.warn("NBD client {}: the kernel doesn't tell who it is: {}", id, e.getMessage());
      return new NbdClient(id, 0, -1);
    }
  }

  private void endConnections(Duration grace) {
    for (Channel connection : connections) {
      connection.pipeline().fireUserEventTriggered(ServerStopping.EVENT);
    }
    Future<?> bound =
        group.next().schedule(this::closeConnections, grace.toNanos(), TimeUnit.NANOSECONDS);
    connections
        .newCloseFuture()
        .addListener(
            done -> {
              bound.cancel(false);
              log.info("NBD server stopped");
              stopped.complete(null);
            });
  }

  private void closeConnections() {
    log.warn("{} NBD clients are cut off: requests are still in flight", connections.size());
    var unused = connections.close();
  }
}
