// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.util.List;
import java.util.UUID;

/**
 * {@code POST /v1/attach-checks} on relay.sock: would a node take these volumes over? Nothing is
 * changed; the answer is an {@link AttachCheck}.
 *
 * @param node the peer that the domain would go to
 * @param domain libvirt UUID of the domain
 * @param volumes export names
 * @param owner node that the domain's metadata names as owner, null if none: as the hook at the
 *     destination will say it
 */
public record CheckAttach(String node, UUID domain, List<String> volumes, String owner) {}
