// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.Channel;
import io.netty.channel.ChannelConfig;
import io.netty.channel.ChannelOption;
import io.netty.channel.ChannelPipeline;
import io.netty.channel.DefaultMessageSizeEstimator;
import io.netty.channel.MessageSizeEstimator;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.handler.flush.FlushConsolidationHandler;
import io.netty.handler.ssl.SslHandler;

/** What both ends of a connection have in common: socket options and the lower handlers. */
public final class PeerSockets {

  /**
   * Longest wait for a TCP connection to be accepted, in milliseconds. A lost SYN is repeated after
   * 1 and 3 seconds.
   */
  static final int CONNECT_TIMEOUT_MILLIS = 5_000;

  /**
   * Time from the accepted TCP connection to the answered hello, in milliseconds: the TLS
   * handshake's limit and one more round trip.
   */
  static final long SETUP_TIMEOUT_MILLIS = PeerTls.HANDSHAKE_TIMEOUT_MILLIS + 2_000;

  /**
   * Milliseconds after which the kernel gives up on data that isn't acknowledged. The heartbeat is
   * faster; this frees the socket when there is nobody left to read the heartbeat's verdict.
   */
  private static final int TCP_USER_TIMEOUT_MILLIS = 15_000;

  private static final int TCP_KEEPALIVE_IDLE_SECONDS = 10;
  private static final int TCP_KEEPALIVE_INTERVAL_SECONDS = 5;
  private static final int TCP_KEEPALIVE_PROBES = 3;

  /**
   * Bytes queued in the process before a connection counts as full. The kernel's send buffer, sized
   * by its autotuning, is what keeps the line busy. The queue above it only has to bridge the time
   * until the next extent is read from the page cache: 512 KiB last 400 µs at 10 Gbit/s. The upper
   * mark is two extents, so memory stays small and an extent never waits behind more than a few
   * others.
   */
  private static final WriteBufferWaterMark WATER_MARK =
      new WriteBufferWaterMark(512 * 1024, 2 * FrameLimits.MAX_EXTENT_BYTES);

  /** Answers to a burst of requests share system calls, but none waits for more than this many. */
  private static final int FLUSH_AFTER_FRAMES = 64;

  /** Frames count with their payload as soon as another thread hands them over. */
  private static final MessageSizeEstimator SIZE_ESTIMATOR =
      () -> {
        MessageSizeEstimator.Handle others = DefaultMessageSizeEstimator.DEFAULT.newHandle();
        return message ->
            message instanceof PeerFrame frame ? frame.wireBytes() : others.size(message);
      };

  private PeerSockets() {}

  /** Sets the options of a connection. Receive buffer and congestion control are the kernel's. */
  static void configure(Channel channel) {
    ChannelConfig config = channel.config();
    config.setWriteBufferWaterMark(WATER_MARK);
    config.setMessageSizeEstimator(SIZE_ESTIMATOR);
    configureTcp(channel);
  }

  /** Sets what makes a connection quick, and what finds out that nobody is at its other end. */
  public static void configureTcp(Channel channel) {
    ChannelConfig config = channel.config();
    if (channel instanceof EpollSocketChannel) {
      config.setOption(ChannelOption.TCP_NODELAY, true);
      config.setOption(ChannelOption.SO_KEEPALIVE, true);
      config.setOption(EpollChannelOption.TCP_KEEPIDLE, TCP_KEEPALIVE_IDLE_SECONDS);
      config.setOption(EpollChannelOption.TCP_KEEPINTVL, TCP_KEEPALIVE_INTERVAL_SECONDS);
      config.setOption(EpollChannelOption.TCP_KEEPCNT, TCP_KEEPALIVE_PROBES);
      config.setOption(EpollChannelOption.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MILLIS);
    }
  }

  /** Adds the handlers below the hello. */
  static void addLowerHandlers(
      ChannelPipeline pipeline, Heartbeat heartbeat, SslHandler tls, FrameDecoder decoder) {
    pipeline.addLast(
        heartbeat,
        tls,
        new FlushConsolidationHandler(FLUSH_AFTER_FRAMES, true),
        decoder,
        new FrameEncoder());
  }
}
