// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.util.concurrent.Future;
import io.vmferry.config.HostPort;
import io.vmferry.relay.peer.wire.Role;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps one connection to a peer: opens it, reopens it with back-off, holds calls back for a moment
 * while it is being opened. Methods may be called on any thread; the state is confined to one event
 * loop, which is also the connection's.
 */
final class ConnectionKeeper {
  private static final Logger LOG = LoggerFactory.getLogger(ConnectionKeeper.class);

  /**
   * Longest wait of a call for its connection, in milliseconds, when the peer is known to be there:
   * one full connection set-up over a bad line.
   */
  static final long CALL_WAIT_MILLIS = 5_000;

  private enum State {
    IDLE,
    CONNECTING,
    UP,
    BACK_OFF,
    CLOSED
  }

  private final PeerSetup setup;
  private final String node;
  private final HostPort address;
  private final Role role;
  private final Runnable whenUp;
  private final EventLoop loop;
  private final BackOff backOff;
  private final Set<PeerCall> waiting = new LinkedHashSet<>();
  private final AtomicLong outstandingBytes = new AtomicLong();
  private State state = State.IDLE;
  private Channel channel;
  private Future<?> retry;
  private long upSince;
  private int attempts;

  /** Whether the peer is known to be there, so that the attempt under way should succeed. */
  private boolean hurried;

  private volatile CallDispatcher connection;

  /** The last reason; set before {@link #connection} is cleared, so a lost link has a reason. */
  private volatile String problem = "not connected yet";

  /** What the log has already said since the connection last stood. */
  private String logged;

  /**
   * @param whenUp runs on the event loop each time the connection is established
   */
  ConnectionKeeper(PeerSetup setup, String node, HostPort address, Role role, Runnable whenUp) {
    this.setup = setup;
    this.node = node;
    this.address = address;
    this.role = role;
    this.whenUp = whenUp;
    loop = setup.loops().next();
    backOff = new BackOff(setup.random());
  }

  /** Whether the connection stands. */
  boolean up() {
    return connection != null;
  }

  /** Why the connection doesn't stand, or null if it does. */
  String problem() {
    return up() ? null : problem;
  }

  /** As far as it was measured since the connection stands. */
  RoundTrip roundTrip() {
    CallDispatcher current = connection;
    return current == null ? RoundTrip.UNKNOWN : current.roundTrip();
  }

  /** Bytes of answers that calls on this connection still expect. */
  long outstandingBytes() {
    return outstandingBytes.get();
  }

  /** Connects, if that was never asked for before. */
  void open() {
    onLoop(this::openOnLoop);
  }

  /**
   * Connects at once if the next attempt is waiting for its time: the peer is known to be there.
   * Calls that are made during this attempt wait for the connection.
   */
  void hurry() {
    onLoop(
        () -> {
          hurried = state == State.BACK_OFF || state == State.CONNECTING;
          if (state == State.BACK_OFF) {
            retry.cancel(false);
            backOff.reset();
            connect();
          }
        });
  }

  /**
   * Sends a request.
   *
   * @param mayWait whether to wait up to {@link #CALL_WAIT_MILLIS} for the connection in any case
   */
  void call(PeerCall call, boolean mayWait) {
    int bytes = call.expectedBytes();
    outstandingBytes.addAndGet(bytes);
    call.whenEnded(() -> outstandingBytes.addAndGet(-bytes));
    try {
      loop.execute(
          () -> {
            openOnLoop();
            callOnLoop(call, mayWait);
          });
    } catch (RejectedExecutionException e) {
      call.end(down("the relay is shutting down"));
    }
  }

  /** Closes the connection for good; all calls end. */
  void close() {
    onLoop(
        () -> {
          state = State.CLOSED;
          problem = "the link was closed on this side";
          if (retry != null) {
            retry.cancel(false);
          }
          endWaiting();
          if (connection != null) {
            connection.end(problem);
          } else if (channel != null) {
            var unused = channel.close();
          }
        });
  }

  private void openOnLoop() {
    if (state == State.IDLE) {
      connect();
    }
  }

  private void callOnLoop(PeerCall call, boolean mayWait) {
    if (state == State.UP) {
      connection.send(call);
    } else if (!(mayWait || hurried) || state == State.CLOSED) {
      call.end(down(problem));
    } else {
      waiting.add(call);
      var unused =
          loop.schedule(
              () -> {
                if (waiting.remove(call)) {
                  call.end(down(problem + " (waited " + CALL_WAIT_MILLIS + " ms)"));
                }
              },
              CALL_WAIT_MILLIS,
              TimeUnit.MILLISECONDS);
    }
  }

  private void connect() {
    state = State.CONNECTING;
    try {
      setup.resolver().execute(this::resolve);
    } catch (RejectedExecutionException e) {
      failed("the relay is shutting down");
    }
  }

  /**
   * Blocks. Anew at each attempt, since the peer's address may have changed; and each attempt takes
   * the next of several addresses (IPv4, IPv6), since not all may be reachable.
   */
  private void resolve() {
    try {
      InetAddress[] found = InetAddress.getAllByName(address.host());
      onLoop(
          () -> {
            InetAddress next = found[Math.floorMod(attempts++, found.length)];
            connectTo(new InetSocketAddress(next, address.port()));
          });
    } catch (UnknownHostException e) {
      onLoop(() -> failed("host name " + address.host() + " can't be resolved"));
    }
  }

  private void connectTo(InetSocketAddress resolved) {
    if (state != State.CONNECTING) {
      return;
    }
    Bootstrap bootstrap =
        new Bootstrap()
            .group(loop)
            .channel(EpollSocketChannel.class)
            .option(ChannelOption.CONNECT_TIMEOUT_MILLIS, PeerSockets.CONNECT_TIMEOUT_MILLIS)
            .handler(
                new ChannelInitializer<Channel>() {
                  @Override
                  protected void initChannel(Channel created) {
                    addHandlers(created);
                  }
                });
    bootstrap
        .connect(resolved)
        .addListener(
            done -> {
              if (!done.isSuccess()) {
                failed(Failures.describe(done.cause()));
              }
            });
  }

  private void addHandlers(Channel created) {
    channel = created;
    PeerSockets.configure(created);
    Heartbeat heartbeat = new Heartbeat();
    FrameDecoder decoder = new FrameDecoder();
    PeerSockets.addLowerHandlers(
        created.pipeline(), heartbeat, setup.tls().newClientHandler(created.alloc()), decoder);
    created
        .pipeline()
        .addLast(new ClientHandshake(setup, node, role, heartbeat, decoder, new Progress()));
  }

  /** Schedules the next attempt, if an attempt or a connection has just ended. */
  private void failed(String reason) {
    if (state != State.CONNECTING) {
      return;
    }
    hurried = false;
    boolean news = !reason.equals(logged);
    logged = reason;
    problem = reason;
    state = State.BACK_OFF;
    channel = null;
    long delay = backOff.nextNanos();
    if (news) {
      LOG.atWarn()
          .addKeyValue("peer", node)
          .log("No {} connection to peer {} at {}: {}; trying on", role, node, address, reason);
    }
    retry =
        loop.schedule(
            () -> {
              if (state == State.BACK_OFF) {
                connect();
              }
            },
            delay,
            TimeUnit.NANOSECONDS);
  }

  private void endWaiting() {
    List<PeerCall> ended = new ArrayList<>(waiting);
    waiting.clear();
    for (PeerCall call : ended) {
      call.end(down(problem));
    }
  }

  private LinkDownException down(String reason) {
    return new LinkDownException(node, role, reason);
  }

  private void onLoop(Runnable action) {
    try {
      loop.execute(action);
    } catch (RejectedExecutionException e) {
      LOG.debug("The event loops have shut down; nothing to do for peer {}", node);
    }
  }

  /** What becomes of the one attempt that is under way. */
  private final class Progress implements ClientHandshake.Outcome {

    @Override
    public void established(CallDispatcher established) {
      if (state == State.CLOSED) {
        established.end(problem);
        return;
      }
      state = State.UP;
      hurried = false;
      upSince = setup.nanoTime().getAsLong();
      connection = established;
      logged = null;
      LOG.atInfo()
          .addKeyValue("peer", node)
          .log("Connected to peer {} at {} ({})", node, address, role);
      List<PeerCall> held = new ArrayList<>(waiting);
      waiting.clear();
      for (PeerCall call : held) {
        established.send(call);
      }
      if (state == State.UP) {
        whenUp.run();
      }
    }

    @Override
    public void lost(String reason) {
      if (state != State.UP) {
        connection = null;
        return;
      }
      problem = reason;
      connection = null;
      backOff.connectionStood(setup.nanoTime().getAsLong() - upSince);
      state = State.CONNECTING;
      ConnectionKeeper.this.failed(reason);
    }

    @Override
    public void failed(String reason) {
      ConnectionKeeper.this.failed(reason);
    }
  }
}
