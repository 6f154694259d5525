// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.PeerLink;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;

/** The configured peers of this node, which may change. Loop only, once built. */
public final class Peers {
  private final String self;
  private final Loop loop;
  private final RateLimit limit;
  private final Map<String, PeerWay> ways = new TreeMap<>();
  private final Map<String, BulkLane> lanes = new TreeMap<>();
  private final List<Consumer<PeerLink>> watchers = new ArrayList<>();
  private final Set<String> watched = new HashSet<>();

  /** Names of the configured peers; replaced, never changed. */
  private volatile Set<String> configured = Set.of();

  public Peers(String self, Loop loop, RateLimit limit, Collection<? extends PeerLink> links) {
    this.self = self;
    this.loop = loop;
    this.limit = limit;
    links.forEach(this::put);
  }

  /** This node's name. */
  public String self() {
    return self;
  }

  /** Whether the node is configured. On any thread. */
  public boolean knows(String node) {
    return configured.contains(node);
  }

  /**
   * The way to a node, always the same; to one that is not configured it is down, until that
   * changes.
   */
  public PeerLink link(String node) {
    return ways.computeIfAbsent(node, PeerWay::new);
  }

  /** What the background copies from a node share. */
  public BulkLane lane(String node) {
    return lanes.computeIfAbsent(node, n -> new BulkLane(loop, link(n)::roundTrip, limit));
  }

  /** The ways to the configured peers, by name. */
  public Collection<PeerLink> links() {
    return configured.stream().sorted().map(this::link).toList();
  }

  /** Shows each configured peer to the watcher: those of now at once, later ones when they come. */
  public void each(Consumer<PeerLink> watcher) {
    watchers.add(watcher);
    watched.stream().sorted().map(this::link).forEach(watcher);
  }

  /** A peer is configured, or reached in another way than before. */
  public void put(PeerLink link) {
    String node = link.node();
    PeerWay way = ways.computeIfAbsent(node, PeerWay::new);
    way.over(link);
    Set<String> more = new TreeSet<>(configured);
    more.add(node);
    configured = Set.copyOf(more);
    if (watched.add(node)) {
      watchers.forEach(watcher -> watcher.accept(way));
    }
  }

  /** A node is no peer any more. */
  public void remove(String node) {
    Set<String> fewer = new TreeSet<>(configured);
    fewer.remove(node);
    configured = Set.copyOf(fewer);
    ways.computeIfAbsent(node, PeerWay::new).over(new UnknownPeer(node));
  }
}
