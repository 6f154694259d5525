// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.peer.PeerService.Responder;
import io.vmferry.relay.peer.wire.Done;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;

/** The answers that end many kinds of peers' requests. On any thread. */
final class PeerAnswers {
  private PeerAnswers() {}

  static void done(Responder responder) {
    responder.answer(Frame.newBuilder().setDone(Done.getDefaultInstance()), null, true);
  }

  static void refuse(Responder responder, PeerRefusal refusal) {
    responder.answer(Frame.newBuilder().setRefused(refusal.toWire()), null, true);
  }

  /** It was allowed, and went wrong. */
  static void failed(Responder responder, String why) {
    refuse(responder, new PeerRefusal(Refused.Code.FAILED, why));
  }
}
