// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.crash;

/** What happens to the volume of a {@link CrashNode}: its two blocks are 0 and 1. */
enum CrashStep {
  WRITE_0,
  WRITE_1,
  /** A write of the last sectors of block 0. */
  WRITE_PART_0,
  /** A write of the first sectors of block 1. */
  WRITE_PART_1,
  WRITE_FUA_0,
  WRITE_FUA_1,
  ZERO_0,
  ZERO_1,
  TRIM_0,
  TRIM_1,
  /** A guest read: a missing block is fetched on demand. */
  READ_0,
  READ_1,
  FLUSH,
  /** The background copy's data arrives; what is then whole becomes complete. */
  COPY,
  /** Time passes until the held blocks are made durable without being asked. */
  CHECKPOINT
}
