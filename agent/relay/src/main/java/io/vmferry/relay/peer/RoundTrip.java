// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

/**
 * The round trip of a link, in nanoseconds; 0 if it was not measured.
 *
 * @param least without queues: the smallest of the last seconds, smoothed
 * @param present as it is now, with the queue that packets stand in
 */
public record RoundTrip(long least, long present) {
  /** Not measured. */
  public static final RoundTrip UNKNOWN = new RoundTrip(0, 0);
}
