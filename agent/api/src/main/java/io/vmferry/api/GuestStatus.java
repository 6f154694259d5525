// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.util.UUID;

/**
 * {@code GET /v1/volumes/{name}/guest} on agent.sock: what the guest that uses a volume does on
 * this host. The owner's relay asks before it grants a takeover.
 *
 * @param state what the guest does
 * @param domain UUID of the domain that has the volume as a disk, null if none
 * @param domainName its name, null if none
 */
public record GuestStatus(State state, UUID domain, String domainName) {

  /** What a guest does. */
  public enum State {
    /** No domain here has the volume, or it is shut off. */
    NONE,
    /** Paused by libvirt for migration or post-copy: it runs elsewhere, or nowhere yet. */
    STOPPED_FOR_MIGRATION,
    /** Runs here, or is paused here for another reason: a takeover is refused. */
    ACTIVE
  }
}
