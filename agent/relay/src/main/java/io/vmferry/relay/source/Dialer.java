// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.source;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.vmferry.nbd.client.NbdNegotiation;
import io.vmferry.nbd.client.NbdUri;
import io.vmferry.relay.peer.PeerSockets;
import io.vmferry.relay.peer.PemFiles;
import io.vmferry.relay.volume.VolumeRecord;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Supplier;

/**
 * Makes one connection to an NBD server at a time, handshake included. The host's name is looked up
 * and the CA file is read at each attempt, since both may have changed.
 */
final class Dialer {
  private static final int CONNECT_TIMEOUT_MILLIS = 5_000;

  private final NbdUri uri;
  private final String tlsCa;
  private final EventLoop net;
  private final Executor blocking;
  private int attempts;

  /**
   * @param net loop of the connections; outcomes are told there
   * @param blocking where names are looked up and files are read
   * @throws IllegalArgumentException if the source can't be understood; says why
   */
  Dialer(VolumeRecord.Source from, EventLoop net, Executor blocking) {
    this.uri = NbdUri.parse(from.uri());
    this.tlsCa = from.tlsCa();
    this.net = net;
    this.blocking = blocking;
    if (tlsCa != null && !uri.tls()) {
      throw new IllegalArgumentException(
          "a CA for TLS goes with nbds:// only, not with '" + from.uri() + "'");
    }
  }

  NbdUri uri() {
    return uri;
  }

  EventLoop net() {
    return net;
  }

  /** Connects, once at a time. */
  void dial(NbdNegotiation.Outcome outcome) {
    int attempt = attempts++;
    try {
      blocking.execute(() -> prepare(attempt, outcome));
    } catch (RejectedExecutionException e) {
      outcome.failed(new IOException("the relay is shutting down", e));
    }
  }

  private void prepare(int attempt, NbdNegotiation.Outcome outcome) {
    try {
      SocketAddress address = address(attempt);
      SslContext tls = uri.tls() ? tls() : null;
      onNet(() -> connect(address, tls, outcome));
    } catch (IOException e) {
      onNet(() -> outcome.failed(problem(e.getMessage())));
    }
  }

  private void onNet(Runnable action) {
    try {
      net.execute(action);
    } catch (RejectedExecutionException e) {
      // The relay has stopped: nobody waits for the outcome any more.
    }
  }

  /** Each attempt takes the next of several addresses, since not all may be reachable. */
  private SocketAddress address(int attempt) throws IOException {
    if (uri.socket() != null) {
      return new DomainSocketAddress(uri.socket());
    }
    try {
      InetAddress[] found = InetAddress.getAllByName(uri.host());
      return new InetSocketAddress(found[Math.floorMod(attempt, found.length)], uri.port());
    } catch (UnknownHostException e) {
      throw new IOException("host name " + uri.host() + " can't be resolved", e);
    }
  }

  private SslContext tls() throws IOException {
    SslContextBuilder builder =
        SslContextBuilder.forClient()
            .protocols("TLSv1.3", "TLSv1.2")
            .endpointIdentificationAlgorithm("HTTPS");
    if (tlsCa != null) {
      builder.trustManager(PemFiles.certificates(Path.of(tlsCa)));
    }
    return builder.build();
  }

  private void connect(SocketAddress address, SslContext tls, NbdNegotiation.Outcome outcome) {
    Class<? extends Channel> type =
        uri.socket() == null ? EpollSocketChannel.class : EpollDomainSocketChannel.class;
    new Bootstrap()
        .group(net)
        .channel(type)
        .option(ChannelOption.CONNECT_TIMEOUT_MILLIS, CONNECT_TIMEOUT_MILLIS)
        .handler(
            new ChannelInitializer<Channel>() {
              @Override
              protected void initChannel(Channel channel) {
                PeerSockets.configureTcp(channel);
                channel
                    .pipeline()
                    .addLast(new NbdNegotiation(uri, handlers(channel, tls), outcome));
              }
            })
        .connect(address)
        .addListener(
            done -> {
              if (!done.isSuccess()) {
                outcome.failed(problem(done.cause().getMessage()));
              }
            });
  }

  /** The name in the server's certificate must be the host of the URI. */
  private Supplier<SslHandler> handlers(Channel channel, SslContext tls) {
    return tls == null ? null : () -> tls.newHandler(channel.alloc(), uri.host(), uri.port());
  }

  private IOException problem(String why) {
    return new IOException("NBD server " + uri.server() + ": " + why);
  }
}
