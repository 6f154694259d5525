// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api.metrics;

import java.util.List;

/**
 * What the relay has measured since it was started, beside its status.
 *
 * @param requests of guests, by volume and operation
 * @param takeoverWaits how long the first write of a guest waited for a takeover
 */
public record RelayMeasurements(List<Requests> requests, Histogram takeoverWaits) {

  /**
   * The requests of one kind to one volume.
   *
   * @param volume export name
   * @param operation such as {@code read}
   * @param durations from the request to its answer
   * @param errors how many of them were answered with an error
   * @param bytes of those that succeeded
   */
  public record Requests(
      String volume, String operation, Histogram durations, long errors, long bytes) {}
}
