// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.vmferry.config.HostPort;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The way to one peer over TCP and TLS.
 *
 * <p>A control call fails at once while the control connection is down, unless the peer was just
 * heard of ({@link #peerIsThere}). Demand and bulk calls fail then; but while it stands they wait
 * up to five seconds for a connection of their role. A caller whose call ended with {@link
 * LinkDownException} asks again: at once if {@link #up}, else when told by {@link #onUp}.
 */
public final class NettyPeerLink implements PeerLink, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(NettyPeerLink.class);

  /** Most bulk connections: more win nothing on one line and cost memory at both ends. */
  public static final int MAX_BULK_CONNECTIONS = 16;

  private record Listener(Executor executor, Runnable action) {}

  private final String node;
  private final HostPort address;
  private final ConnectionKeeper control;
  private final ConnectionKeeper demand;
  private final List<ConnectionKeeper> bulk;
  private final List<Listener> listeners = new CopyOnWriteArrayList<>();

  /**
   * Connects nothing yet.
   *
   * @param node name of the peer; its certificate must be for it
   * @param address where it listens; a name is looked up at each attempt to connect
   * @param bulkConnections 1 to {@link #MAX_BULK_CONNECTIONS}
   */
  public NettyPeerLink(PeerSetup setup, String node, HostPort address, int bulkConnections) {
    if (bulkConnections < 1 || bulkConnections > MAX_BULK_CONNECTIONS) {
      throw new IllegalArgumentException(
          bulkConnections + " bulk connections, allowed are 1 to " + MAX_BULK_CONNECTIONS);
    }
    this.node = node;
    this.address = address;
    control = new ConnectionKeeper(setup, node, address, Role.CONTROL, this::controlUp);
    demand = new ConnectionKeeper(setup, node, address, Role.DEMAND, () -> {});
    bulk =
        IntStream.range(0, bulkConnections)
            .mapToObj(i -> new ConnectionKeeper(setup, node, address, Role.BULK, () -> {}))
            .toList();
  }

  /** Opens all connections now, so that the first call finds them. */
  public void start() {
    all().forEach(ConnectionKeeper::open);
  }

  @Override
  public String node() {
    return node;
  }

  @Override
  public String address() {
    return address.toString();
  }

  @Override
  public boolean up() {
    return control.up();
  }

  @Override
  public RoundTrip roundTrip() {
    return control.roundTrip();
  }

  @Override
  public String problem() {
    return control.problem();
  }

  /**
   * {@inheritDoc}
   *
   * @throws IllegalArgumentException for any other role, and for a request larger than a frame's
   *     header may be
   */
  @Override
  public void call(Role role, Frame request, Executor executor, Answers answers) {
    // The link's number takes ten bytes at most, and the request needn't have one yet.
    String problem = FrameLimits.of(role).problem(request.getSerializedSize() + 11L, 0);
    if (problem != null) {
      throw new IllegalArgumentException("request " + request.getBodyCase() + ": " + problem);
    }
    PeerCall call = new PeerCall(request, executor, answers);
    switch (role) {
      case CONTROL -> control.call(call, false);
      case DEMAND -> callBeside(demand, call);
      case BULK -> {
        bulk.forEach(ConnectionKeeper::open);
        callBeside(leastBusyBulk(), call);
      }
      default -> throw new IllegalArgumentException("no calls in role " + role);
    }
  }

  @Override
  public void peerIsThere() {
    control.hurry();
  }

  @Override
  public void onUp(Executor executor, Runnable listener) {
    listeners.add(new Listener(executor, listener));
  }

  /** Closes all connections for good; all calls under way end with {@link LinkDownException}. */
  @Override
  public void close() {
    all().forEach(ConnectionKeeper::close);
  }

  /** Bytes of answers that each bulk connection still expects. */
  List<Long> outstandingBulkBytes() {
    return bulk.stream().map(ConnectionKeeper::outstandingBytes).toList();
  }

  private void callBeside(ConnectionKeeper connection, PeerCall call) {
    control.open();
    connection.call(call, control.up());
  }

  private ConnectionKeeper leastBusyBulk() {
    return bulk.stream()
        .min(
            Comparator.comparing(ConnectionKeeper::up, Comparator.reverseOrder())
                .thenComparingLong(ConnectionKeeper::outstandingBytes))
        .orElseThrow();
  }

  private void controlUp() {
    demand.hurry();
    bulk.forEach(ConnectionKeeper::hurry);
    for (Listener listener : listeners) {
      try {
        listener.executor().execute(listener.action());
      } catch (RejectedExecutionException e) {
        LOG.warn("A listener of peer {} has shut down and isn't told that the link is up", node);
      }
    }
  }

  private Stream<ConnectionKeeper> all() {
    return Stream.concat(Stream.of(control, demand), bulk.stream());
  }
}
