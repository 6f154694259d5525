// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.exec;

/** How many requests guests have made since this process began, over all volumes. Loop only. */
public final class RequestCount {
  private long total;

  /** One more. */
  public void add() {
    total++;
  }

  /** All of them. */
  public long total() {
    return total;
  }
}
