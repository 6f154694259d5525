// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.util.AttributeKey;
import io.netty.util.NetUtil;
import io.netty.util.concurrent.Future;
import io.netty.util.concurrent.GlobalEventExecutor;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Listens for peers and passes their requests to a {@link PeerService}.
 *
 * <p>Whoever isn't a configured peer, or doesn't speak the protocol, is refused with one line in
 * the log. Thread-safe.
 */
public final class PeerServer {
  private static final Logger LOG = LoggerFactory.getLogger(PeerServer.class);

  /**
   * Connections that may be in TLS handshake or before their hello at once. All connections of a
   * dozen peers that reconnect together fit; a flood of strangers costs no more than their memory.
   */
  static final int MAX_UNAUTHENTICATED = 128;

  /** Of a connection whose hello was accepted: the peer's name. */
  static final AttributeKey<String> NODE = AttributeKey.valueOf(PeerServer.class, "node");

  private final PeerSetup setup;
  private final Predicate<String> knownPeer;
  private final PeerService service;
  private final ChannelGroup channels =
      new DefaultChannelGroup("peers", GlobalEventExecutor.INSTANCE, true);
  private final AtomicInteger unauthenticated = new AtomicInteger();
  private final ControlFence fence = new ControlFence();

  /**
   * @param knownPeer whether a node is among the configured peers; called on event loops
   * @param service carries out the requests
   */
  public PeerServer(PeerSetup setup, Predicate<String> knownPeer, PeerService service) {
    this.setup = setup;
    this.knownPeer = knownPeer;
    this.service = service;
  }

  /**
   * Starts to listen.
   *
   * @param address where; port 0 takes any free one
   * @return the real address, or an {@link IOException} that names the address and the reason
   */
  public CompletableFuture<InetSocketAddress> listen(InetSocketAddress address) {
    CompletableFuture<InetSocketAddress> listening = new CompletableFuture<>();
    ChannelFuture bound =
        new ServerBootstrap()
            .group(setup.loops())
            .channel(EpollServerSocketChannel.class)
            .childHandler(
                new ChannelInitializer<Channel>() {
                  @Override
                  protected void initChannel(Channel channel) {
                    accept(channel);
                  }
                })
            .bind(address);
    bound.addListener(
        done -> {
          if (done.isSuccess()) {
            channels.add(bound.channel());
            InetSocketAddress real = (InetSocketAddress) bound.channel().localAddress();
            LOG.info("Listening for peers on {}", NetUtil.toSocketAddressString(real));
            listening.complete(real);
          } else {
            listening.completeExceptionally(
                new IOException(
                    "can't listen for peers on "
                        + NetUtil.toSocketAddressString(address)
                        + ": "
                        + Failures.describe(done.cause())
                        + "; is another relay running, or is the address not of this host?",
                    done.cause()));
          }
        });
    return listening;
  }

  /**
   * Stops listening and closes all connections, also those just being accepted. Doesn't block. To
   * be called before the event loops are shut down.
   *
   * @return when everything is closed
   */
  public Future<Void> close() {
    return channels.close();
  }

  /** Ends the connections of nodes that were peers and are none any more. Doesn't block. */
  public void closeStrangers() {
    for (Channel channel : channels) {
      String node = channel.attr(NODE).get();
      if (node != null && !knownPeer.test(node)) {
        LOG.warn("Closed a connection of node {}: it is no peer any more", node);
        var unused = channel.close();
      }
    }
  }

  private void accept(Channel channel) {
    if (unauthenticated.incrementAndGet() > MAX_UNAUTHENTICATED) {
      unauthenticated.decrementAndGet();
      LOG.warn(
          "Refused a peer connection from {}: {} others have not said hello yet",
          channel.remoteAddress(),
          MAX_UNAUTHENTICATED);
      var unused = channel.close();
      return;
    }
    AtomicBoolean counted = new AtomicBoolean(true);
    Runnable over =
        () -> {
          if (counted.getAndSet(false)) {
            unauthenticated.decrementAndGet();
          }
        };
    channel.closeFuture().addListener(closed -> over.run());
    channels.add(channel);
    if (!channel.isOpen()) {
      // Accepted while the server was being closed.
      return;
    }
    PeerSockets.configure(channel);
    Heartbeat heartbeat = new Heartbeat();
    FrameDecoder decoder = new FrameDecoder();
    PeerSockets.addLowerHandlers(
        channel.pipeline(), heartbeat, setup.tls().newServerHandler(channel.alloc()), decoder);
    channel
        .pipeline()
        .addLast(new ServerHandshake(setup, knownPeer, service, heartbeat, decoder, over, fence));
  }
}
