// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.util.List;
import java.util.UUID;

/**
 * {@code POST /v1/standbys} on relay.sock: attach STANDBY replicas of all volumes of a domain, or
 * of none. Volumes that are already served here are left as they are.
 *
 * @param domain libvirt UUID of the domain; its volumes are taken over together
 * @param volumes export names
 * @param owner node that the domain's metadata names as owner, null to ask all configured peers
 * @param preCopy what the standbys copy before the handover: none, hot-last or full; null for what
 *     they do already, or for what the configuration says if they are new
 */
public record AttachStandby(UUID domain, List<String> volumes, String owner, String preCopy) {
  /** Copies as the configuration says. */
  public AttachStandby(UUID domain, List<String> volumes, String owner) {
    this(domain, volumes, owner, null);
  }
}
