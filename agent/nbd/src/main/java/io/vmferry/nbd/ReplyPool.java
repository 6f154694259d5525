// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import java.util.ArrayDeque;
import java.util.function.Supplier;

/**
 * Answered replies of one connection, to be used again without allocation. First in, first out, and
 * only when many are there: a session that wrongly answers twice meets a reply that is still closed
 * (and gets its exception) unless that many requests were answered in between.
 */
final class ReplyPool<R extends OpenReply> {
  private static final int REUSE_DISTANCE = NbdLimits.MAX_REQUESTS_IN_FLIGHT;

  private final Supplier<R> factory;
  private final ArrayDeque<R> answered = new ArrayDeque<>();

  ReplyPool(Supplier<R> factory) {
    this.factory = factory;
  }

  R take() {
    return answered.size() < REUSE_DISTANCE ? factory.get() : answered.remove();
  }

  void give(R reply) {
    answered.add(reply);
  }
}
