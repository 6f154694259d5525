// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** What a power loss does to the operations that no force has covered. */
public interface LossModel {

  /** Sectors survive or are lost as a whole. */
  int SECTOR_BYTES = 512;

  /** What becomes of one unforced operation. Operations without data are torn as if lost. */
  enum Fate {
    KEPT,
    LOST,
    /** Only the first half of the sectors reached the disk. */
    TORN_HEAD,
    /** Only the second half did. */
    TORN_TAIL
  }

  /**
   * Decides about one operation.
   *
   * @param index number of the unforced operation, from 0 in order of execution
   */
  Fate fate(int index);

  /** A killed process: the kernel still writes everything. */
  static LossModel nothing() {
    return index -> Fate.KEPT;
  }

  /** Everything unforced is lost. */
  static LossModel everything() {
    return index -> Fate.LOST;
  }

  /** One operation has the fate, all others are kept. */
  static LossModel single(int index, Fate fate) {
    return i -> i == index ? fate : Fate.KEPT;
  }

  /** Bit i of {@code kept}: operation i is kept. */
  static LossModel subset(long kept) {
    return i -> (kept >>> i & 1) != 0 ? Fate.KEPT : Fate.LOST;
  }

  /** Any fate for each operation, from a seed. */
  static LossModel random(long seed) {
    return i -> Fate.values()[new Random(seed * 31 + i).nextInt(Fate.values().length)];
  }

  /**
   * The loss models worth trying for a number of unforced operations: every subset up to 6
   * operations, otherwise none, all and each single one; and each single one torn.
   */
  static List<LossModel> all(int unforced) {
    List<LossModel> models = new ArrayList<>();
    if (unforced <= 6) {
      for (long kept = 0; kept < 1L << unforced; kept++) {
        models.add(subset(kept));
      }
    } else {
      models.add(nothing());
      models.add(everything());
    }
    for (int i = 0; i < unforced; i++) {
      models.add(single(i, Fate.LOST));
      models.add(single(i, Fate.TORN_HEAD));
      models.add(single(i, Fate.TORN_TAIL));
    }
    return models;
  }
}
