// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.TakenOver;

/**
 * The form of answers. An answer that breaks it ends the connection: nothing else can be trusted.
 */
final class AnswerRules {

  private AnswerRules() {}

  /** What is wrong with an answer's form, or null. */
  static String problem(Frame answer, int payloadBytes) {
    return switch (answer.getBodyCase()) {
      case EXTENT -> extentProblem(answer.getExtent(), payloadBytes);
      case TAKEN_OVER -> takenOverProblem(answer.getTakenOver(), payloadBytes);
      case HOLE_LIST ->
          answer.getHoleList().getExtentsCount() % 2 != 0
              ? "HOLE_LIST with an offset that has no length"
              : payloadProblem(answer, payloadBytes);
      // Their form is checked by who decodes them.
      case HEAT_MAP, PRE_COPYING -> null;
      case REFUSED, LOCATED, ATTACHED, DONE, CHECKED_ATTACH, PROBED ->
          payloadProblem(answer, payloadBytes);
      default -> answer.getBodyCase() + " isn't an answer";
    };
  }

  private static String payloadProblem(Frame answer, int payloadBytes) {
    return payloadBytes == 0
        ? null
        : answer.getBodyCase() + " with a payload of " + payloadBytes + " bytes";
  }

  private static String extentProblem(Extent extent, int payloadBytes) {
    long length = Integer.toUnsignedLong(extent.getLength());
    if (length < 1 || length > FrameLimits.MAX_EXTENT_BYTES) {
      return "EXTENT of " + length + " bytes";
    }
    if (extent.getOffset() < 0 || extent.getOffset() + length < 0) {
      return "EXTENT at offset " + Long.toUnsignedString(extent.getOffset());
    }
    if (extent.getZstd() && !extent.getZero()) {
      return payloadBytes > 0 && payloadBytes < length
          ? null
          : "EXTENT of " + length + " bytes compressed to " + payloadBytes;
    }
    long expected = extent.getZero() ? 0 : length;
    return payloadBytes == expected
        ? null
        : "EXTENT with a payload of " + payloadBytes + " bytes instead of " + expected;
  }

  private static String takenOverProblem(TakenOver takenOver, int payloadBytes) {
    long expected = 0;
    for (TakenOver.Volume volume : takenOver.getVolumesList()) {
      expected += Integer.toUnsignedLong(volume.getStaleMapLength());
    }
    return payloadBytes == expected
        ? null
        : "TAKEN_OVER with stale maps of " + payloadBytes + " bytes instead of " + expected;
  }
}
