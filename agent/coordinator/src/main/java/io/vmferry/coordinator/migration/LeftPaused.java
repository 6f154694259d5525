// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import io.vmferry.coordinator.hypervisor.DomainState;

/**
 * What is due for a domain that libvirt keeps paused at the source of a migration that is over: its
 * client died, or libvirtd was restarted. The table, and nothing else.
 *
 * <p>The guest's memory here is that of the switch-over. It fits the disk as long as nobody else
 * wrote there since, that is, as long as this node never gave its volumes away. Then, and only if
 * no other node has a QEMU with these volumes, the guest may go on here. A guest resumed after
 * another one wrote would find a disk that it does not remember, so that is never done, only said.
 */
enum LeftPaused {
  /** Not such a domain: it has another state, a migration is under way, or it arrives here. */
  NOTHING,
  /** Maybe: it has not looked like that for long. */
  LOOK_AGAIN,
  /** Volumes and memory fit, and no second guest can run: let it run. */
  RESUME,
  /** A peer has a QEMU with the volumes. */
  OPEN_AT_PEER,
  /** A peer that may have a QEMU with the volumes can't be asked. */
  PEER_UNKNOWN,
  /** Another node took the volumes over. */
  GUEST_WENT_ON,
  /** Another node had the volumes since the guest was paused; they are back. */
  MEMORY_TOO_OLD,
  /** A part of the guest's memory exists only at the destination. */
  MEMORY_INCOMPLETE,
  /** The relay can't say who owns the volumes. */
  OWNER_UNKNOWN;

  /** Who owns a domain's volumes, as far as the relay here knows. */
  enum Owner {
    /** This node, all of them, and it never gave them away since the guest ran here. */
    HERE,
    /** This node, all of them; the domain's metadata names another one. */
    HERE_AGAIN,
    /** Another node owns at least one. */
    ELSEWHERE,
    UNKNOWN
  }

  /** Whether peers have NBD clients of a domain's volumes. */
  enum AtPeers {
    NOBODY,
    SOMEBODY,
    /** At least one peer did not answer, and none of the others has a client. */
    UNKNOWN
  }

  /**
   * What was seen.
   *
   * @param state libvirt's
   * @param underWay libvirt has a job on the domain, or it arrives here
   * @param old it has been seen like that for a while
   */
  record Sight(DomainState state, boolean underWay, boolean old, Owner owner, AtPeers atPeers) {}

  static LeftPaused of(Sight sight) {
    boolean candidate =
        switch (sight.state()) {
          case PAUSED_MIGRATION, PAUSED_POSTCOPY, PAUSED_POSTCOPY_FAILED -> true;
          case RUNNING, STARTING_UP, PAUSED, PAUSED_IO_ERROR, SHUT_OFF, OTHER -> false;
        };
    if (!candidate || sight.underWay()) {
      return NOTHING;
    }
    if (!sight.old()) {
      return LOOK_AGAIN;
    }
    return switch (sight.owner()) {
      case UNKNOWN -> OWNER_UNKNOWN;
      case ELSEWHERE -> GUEST_WENT_ON;
      case HERE_AGAIN -> MEMORY_TOO_OLD;
      case HERE ->
          sight.state() == DomainState.PAUSED_MIGRATION
              ? atPeers(sight.atPeers())
              : MEMORY_INCOMPLETE;
    };
  }

  private static LeftPaused atPeers(AtPeers atPeers) {
    return switch (atPeers) {
      case NOBODY -> RESUME;
      case SOMEBODY -> OPEN_AT_PEER;
      case UNKNOWN -> PEER_UNKNOWN;
    };
  }
}
