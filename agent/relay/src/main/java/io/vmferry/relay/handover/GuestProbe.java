// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.GuestStatus;
import java.util.concurrent.CompletableFuture;

/** Asks the local agent what the guest of a volume does; injected. */
public interface GuestProbe {

  /**
   * Asks afresh.
   *
   * @return fails if the agent can't say: it is down, or libvirt is; never a guess. Completed on
   *     any thread
   */
  CompletableFuture<GuestStatus> ask(String volume);
}
