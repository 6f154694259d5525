// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.Future;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** One thread that accepts, and ends at once: Netty's default waits 2 s for tasks to come. */
public final class AcceptorGroup extends MultiThreadIoEventLoopGroup {
  private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(1);

  /**
   * For one server.
   *
   * @param name of the thread
   */
  public AcceptorGroup(String name) {
    super(1, new DefaultThreadFactory(name), EpollIoHandler.newFactory());
  }

  @Override
  public Future<?> shutdownGracefully() {
    return shutdownGracefully(0, CLOSE_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS);
  }
}
