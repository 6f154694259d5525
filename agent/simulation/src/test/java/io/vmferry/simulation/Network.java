// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.relay.sim.SimLink;
import java.util.ArrayList;
import java.util.List;

/** The WAN between the hosts: relays, libvirtds and the memory of guests go over it. */
final class Network {
  private final World world;
  private final List<SimLink> links = new ArrayList<>();
  private boolean wireUp = true;

  Network(World world) {
    this.world = world;
  }

  void join(Host one, Host other) {
    join(new SimLink(one.relay(), other.relay(), world.time(), world.random()), one);
    join(new SimLink(other.relay(), one.relay(), world.time(), world.random()), other);
  }

  private void join(SimLink link, Host from) {
    from.relay().add(link);
    links.add(link);
  }

  boolean isUp() {
    return wireUp;
  }

  void cut() {
    if (wireUp) {
      world.trace().add("link cut");
      wireUp = false;
      update();
    }
  }

  void mend() {
    if (!wireUp) {
      world.trace().add("link mended");
      wireUp = true;
      update();
    }
  }

  /** Something at an end of it has changed. */
  void update() {
    links.forEach(link -> link.update(wireUp));
  }
}
