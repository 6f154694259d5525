// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.api.Epoch;
import java.util.UUID;

/**
 * Names the content of an owner's replica for one who copies it: two equal names mean that nothing
 * was written in between. A change counts when it begins and when it ends, so that one under way at
 * either moment is seen. Loop only.
 */
final class ContentTag {
  /** What an earlier process counted is unknown. */
  private String process;

  private long changes;

  /** A change begins or has ended. */
  void changed() {
    changes++;
  }

  /** The name now. */
  String name(Epoch epoch) {
    if (process == null) {
      process = UUID.randomUUID().toString();
    }
    return epoch + "/" + process + "/" + changes;
  }
}
