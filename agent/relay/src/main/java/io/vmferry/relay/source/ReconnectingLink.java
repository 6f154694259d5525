// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.source;

import io.netty.buffer.ByteBuf;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.Future;
import io.vmferry.nbd.client.NbdConnection;
import io.vmferry.nbd.client.NbdNegotiation;
import io.vmferry.nbd.client.ServerExport;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.BackOff;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps one connection to an NBD server, with back-off. Its methods are called and its answers are
 * given on the data loop; the connection itself is on a network loop, which has the cost of TLS.
 */
final class ReconnectingLink implements SourceLink {
  private static final Logger log = LoggerFactory.getLogger(ReconnectingLink.class);

  private final Dialer dialer;
  private final EventLoop net;
  private final Loop loop;
  private final Listener listener;
  private final BackOff backOff;

  // On the data loop.
  private NbdConnection connection;
  private String problem = "not connected yet";
  private boolean refused;
  private boolean ended;

  // On the network loop.
  private NbdConnection standing;
  private Future<?> retry;
  private boolean closed;
  private String logged;

  ReconnectingLink(Dialer dialer, Loop loop, RandomGenerator random, Listener listener) {
    this.dialer = dialer;
    this.net = dialer.net();
    this.loop = loop;
    this.listener = listener;
    this.backOff = new BackOff(random);
  }

  @Override
  public void open() {
    onNet(this::dial);
  }

  @Override
  public boolean up() {
    return connection != null;
  }

  @Override
  public ServerExport export() {
    return connection == null ? null : connection.export();
  }

  @Override
  public String problem() {
    return problem;
  }

  @Override
  public boolean refused() {
    return refused;
  }

  @Override
  public void read(long offset, int length, NbdConnection.ReadAnswer answer) {
    ask(answer, to -> to.read(offset, length, new ReadOnLoop(answer)));
  }

  @Override
  public void extents(long offset, long length, NbdConnection.ExtentsAnswer answer) {
    ask(answer, to -> to.extents(offset, length, new ExtentsOnLoop(answer)));
  }

  @Override
  public void close() {
    ended = true;
    connection = null;
    problem = "closed on this side";
    onNet(
        () -> {
          closed = true;
          if (retry != null) {
            retry.cancel(false);
          }
          if (standing != null) {
            standing.close();
          }
        });
  }

  private void ask(NbdConnection.Answer answer, Consumer<NbdConnection> question) {
    NbdConnection asked = connection;
    if (asked == null || !onNet(() -> question.accept(asked))) {
      loop.execute(() -> answer.failed(new IOException(problem)));
    }
  }

  // ---- on the network loop

  private void dial() {
    if (closed) {
      return;
    }
    dialer.dial(
        new NbdNegotiation.Outcome() {
          @Override
          public void connected(NbdConnection established) {
            ReconnectingLink.this.connected(established);
          }

          @Override
          public void failed(IOException error) {
            retryLater(error.getMessage());
          }
        });
  }

  private void connected(NbdConnection established) {
    standing = established;
    if (closed) {
      established.close();
      return;
    }
    long since = System.nanoTime();
    established.whenClosed(
        why -> {
          standing = null;
          backOff.connectionStood(System.nanoTime() - since);
          retryLater("NBD server " + dialer.uri().server() + ": " + why);
        });
    onLoop(() -> checked(established));
  }

  private void retryLater(String why) {
    if (closed) {
      return;
    }
    if (!why.equals(logged)) {
      logged = why;
      log.warn("{}; trying on", why);
    }
    retry = net.schedule(this::dial, backOff.nextNanos(), TimeUnit.NANOSECONDS);
    onLoop(
        () -> {
          connection = null;
          problem = why;
        });
  }

  // ---- on the data loop

  private void checked(NbdConnection established) {
    if (ended) {
      return;
    }
    String unusable = listener.connected(established.export());
    if (unusable != null) {
      log.error("{}", unusable);
      close();
      refused = true;
      problem = unusable;
      return;
    }
    connection = established;
    log.info("connected to NBD server {}", dialer.uri().server());
    onNet(() -> logged = null);
    listener.up();
  }

  // ---- from one loop to the other

  private boolean onNet(Runnable action) {
    try {
      net.execute(action);
      return true;
    } catch (RejectedExecutionException e) {
      log.debug("The event loops have shut down");
      return false;
    }
  }

  private boolean onLoop(Runnable action) {
    try {
      loop.execute(action);
      return true;
    } catch (RejectedExecutionException e) {
      log.debug("The data loop has shut down");
      return false;
    }
  }

  private final class ReadOnLoop implements NbdConnection.ReadAnswer {
    private final NbdConnection.ReadAnswer answer;

    ReadOnLoop(NbdConnection.ReadAnswer answer) {
      this.answer = answer;
    }

    @Override
    public void data(ByteBuf data, int onWire) {
      if (!onLoop(() -> answer.data(data, onWire))) {
        data.release();
      }
    }

    @Override
    public void failed(IOException error) {
      onLoop(() -> answer.failed(error));
    }
  }

  private final class ExtentsOnLoop implements NbdConnection.ExtentsAnswer {
    private final NbdConnection.ExtentsAnswer answer;

    ExtentsOnLoop(NbdConnection.ExtentsAnswer answer) {
      this.answer = answer;
    }

    @Override
    public void extents(List<NbdConnection.Extent> extents) {
      onLoop(() -> answer.extents(extents));
    }

    @Override
    public void failed(IOException error) {
      onLoop(() -> answer.failed(error));
    }
  }
}
