// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.source;

import io.netty.channel.EventLoopGroup;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.nbd.client.NbdConnection;
import io.vmferry.nbd.client.NbdNegotiation;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.volume.Sources;
import io.vmferry.relay.volume.VolumeRecord;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.random.RandomGenerator;

/** The NBD servers that volumes come from. Loop only. */
public final class NbdSources implements Sources {
  private final Loop loop;
  private final RateLimit limit;
  private final EventLoopGroup net;
  private final Executor blocking;
  private final RandomGenerator random;

  /**
   * @param net loops of the connections
   * @param blocking where names are looked up and files are read
   * @param random spreads reconnects; thread-safe
   */
  public NbdSources(
      Loop loop, RateLimit limit, EventLoopGroup net, Executor blocking, RandomGenerator random) {
    this.loop = loop;
    this.limit = limit;
    this.net = net;
    this.blocking = blocking;
    this.random = random;
  }

  @Override
  public Source open(VolumeRecord record, Runnable whenUp) {
    VolumeRecord.Source from = record.source();
    Dialer dialer = new Dialer(from, net.next(), blocking);
    NbdSource source =
        new NbdSource(
            from.uri(),
            dialer.uri().server(),
            record.name(),
            record.size(),
            loop,
            limit,
            whenUp,
            listener -> new ReconnectingLink(dialer, loop, random, listener));
    source.open();
    return source;
  }

  /**
   * Connects once to learn how large an export is.
   *
   * @return fails with BAD_REQUEST if the source can't be understood, with REFUSED if it can't be
   *     opened
   */
  public CompletableFuture<Long> size(VolumeRecord.Source from) {
    Dialer dialer;
    try {
      dialer = new Dialer(from, net.next(), blocking);
    } catch (IllegalArgumentException e) {
      return CompletableFuture.failedFuture(
          new ProblemException(Problem.Code.BAD_REQUEST, e.getMessage()));
    }
    CompletableFuture<Long> size = new CompletableFuture<>();
    dialer.dial(
        new NbdNegotiation.Outcome() {
          @Override
          public void connected(NbdConnection connection) {
            long found = connection.export().size();
            connection.close();
            loop.execute(() -> size.complete(found));
          }

          @Override
          public void failed(IOException error) {
            loop.execute(
                () ->
                    size.completeExceptionally(
                        new ProblemException(Problem.Code.REFUSED, error.getMessage())));
          }
        });
    return size;
  }
}
