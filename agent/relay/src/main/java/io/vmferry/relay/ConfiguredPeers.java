// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay;

import io.vmferry.config.Config;
import io.vmferry.config.HostPort;
import io.vmferry.config.RunningConfig;
import io.vmferry.relay.handover.Peers;
import io.vmferry.relay.peer.NettyPeerLink;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.BiFunction;

/** Links to the peers that the configuration names, also when it is read again. */
final class ConfiguredPeers implements RunningConfig.Part, AutoCloseable {
  private final Map<String, HostPort> addresses;
  private final BiFunction<String, HostPort, NettyPeerLink> connector;
  private final Peers peers;
  private final Executor loop;
  private final Runnable closeStrangers;
  private final Map<String, NettyPeerLink> links;

  /**
   * @param addresses of the links that there are
   * @param links by node, known to {@code peers}
   * @param connector makes a link that connects nothing yet
   * @param loop where {@code peers} may be changed
   * @param closeStrangers ends connections of nodes that are no peers any more
   */
  ConfiguredPeers(
      Map<String, HostPort> addresses,
      Map<String, NettyPeerLink> links,
      BiFunction<String, HostPort, NettyPeerLink> connector,
      Peers peers,
      Executor loop,
      Runnable closeStrangers) {
    this.addresses = new TreeMap<>(addresses);
    this.links = new HashMap<>(links);
    this.connector = connector;
    this.peers = peers;
    this.loop = loop;
    this.closeStrangers = closeStrangers;
  }

  @Override
  public synchronized Optional<RunningConfig.Change> prepare(Config newer) {
    List<String> texts = new ArrayList<>();
    List<String> gone = new ArrayList<>();
    Map<String, HostPort> fresh = new TreeMap<>();
    addresses.forEach(
        (node, address) -> {
          HostPort now = newer.peers().get(node);
          if (now == null) {
            texts.add(node + " removed");
            gone.add(node);
          } else if (!now.equals(address)) {
            texts.add(node + " is now at " + now);
            fresh.put(node, now);
          }
        });
    new TreeMap<>(newer.peers())
        .forEach(
            (node, address) -> {
              if (!addresses.containsKey(node)) {
                texts.add(node + " added at " + address);
                fresh.put(node, address);
              }
            });
    return texts.isEmpty()
        ? Optional.empty()
        : Optional.of(
            new RunningConfig.Change(
                "peers: " + String.join(", ", texts), () -> change(gone, fresh)));
  }

  private synchronized void change(List<String> gone, Map<String, HostPort> fresh) {
    List<NettyPeerLink> ended = new ArrayList<>();
    List<NettyPeerLink> begun = new ArrayList<>();
    for (String node : gone) {
      addresses.remove(node);
      ended.add(links.remove(node));
    }
    fresh.forEach(
        (node, address) -> {
          addresses.put(node, address);
          NettyPeerLink link = connector.apply(node, address);
          begun.add(link);
          NettyPeerLink before = links.put(node, link);
          if (before != null) {
            ended.add(before);
          }
        });
    // First the new way, then the end of the old one: whoever asks again takes the new one.
    CompletableFuture.runAsync(
            () -> {
              begun.forEach(peers::put);
              gone.forEach(peers::remove);
            },
            loop)
        .join();
    begun.forEach(NettyPeerLink::start);
    ended.forEach(NettyPeerLink::close);
    closeStrangers.run();
  }

  @Override
  public synchronized void close() {
    links.values().forEach(NettyPeerLink::close);
  }
}
