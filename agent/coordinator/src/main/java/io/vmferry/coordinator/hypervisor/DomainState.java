// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.hypervisor;

/** What a domain does, as far as it matters to its volumes. */
public enum DomainState {
  RUNNING("running"),
  /** Being started or, at the destination of a migration, waiting for its memory. */
  STARTING_UP("paused (starting up)"),
  PAUSED("paused"),
  PAUSED_MIGRATION("paused (migration)"),
  /** Source of a post-copy migration: the guest runs at the destination. */
  PAUSED_POSTCOPY("paused (post-copy)"),
  PAUSED_POSTCOPY_FAILED("paused (post-copy failed)"),
  PAUSED_IO_ERROR("paused (I/O error)"),
  SHUT_OFF("shut off"),
  /** Anything else; the guest may be alive. */
  OTHER("unknown");

  private final String text;

  DomainState(String text) {
    this.text = text;
  }

  /** For people. */
  @Override
  public String toString() {
    return text;
  }
}
