// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import java.util.Set;

/**
 * A live migration as Nova keeps it.
 *
 * @param id grows from migration to migration
 * @param status for example queued, preparing, running, completed, failed, error, cancelled
 * @param source the host it left
 * @param destination the host it went to, null while the scheduler chooses
 */
public record Migration(long id, String status, String source, String destination) {
  private static final Set<String> GOOD = Set.of("completed", "done", "finished", "confirmed");
  private static final Set<String> BAD = Set.of("failed", "error", "cancelled");

  public boolean hasSucceeded() {
    return GOOD.contains(status);
  }

  public boolean hasFailed() {
    return BAD.contains(status);
  }
}
