// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.copy.BulkLane;
import io.vmferry.relay.copy.RateLimit;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.PeerLink;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The configured peers of this node. Loop only, once built. */
public final class Peers {
  private final String self;
  private final Loop loop;
  private final RateLimit limit;
  private final Map<String, PeerLink> links = new TreeMap<>();
  private final Map<String, BulkLane> lanes = new TreeMap<>();

  public Peers(String self, Loop loop, RateLimit limit, Collection<? extends PeerLink> links) {
    this.self = self;
    this.loop = loop;
    this.limit = limit;
    links.forEach(link -> this.links.put(link.node(), link));
  }

  /** This node's name. */
  public String self() {
    return self;
  }

  /** Whether the node is configured. */
  public boolean knows(String node) {
    return links.containsKey(node);
  }

  /** The way to a node; to one that is not configured any more, a link that is always down. */
  public PeerLink link(String node) {
    PeerLink link = links.get(node);
    return link != null ? link : new UnknownPeer(node);
  }

  /** What the background copies from a node share. */
  public BulkLane lane(String node) {
    return lanes.computeIfAbsent(node, n -> new BulkLane(loop, link(n)::rttNanos, limit));
  }

  public Collection<PeerLink> links() {
    return List.copyOf(links.values());
  }
}
