// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * Counts changes of owner. The same number with two owners is a fork.
 *
 * @param number 1 at creation, plus one per takeover
 * @param owner node that owns the volume in this epoch
 */
public record Epoch(long number, String owner) {
  public Epoch next(String newOwner) {
    return new Epoch(number + 1, newOwner);
  }

  @Override
  public String toString() {
    return number + "@" + owner;
  }
}
