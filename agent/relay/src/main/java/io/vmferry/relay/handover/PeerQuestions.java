// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.PeerService;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Answers what peers only want to know, for the operator of another node; passes on what they want
 * done. Nothing here changes anything. Requests arrive on any thread and are moved to the loop.
 */
public final class PeerQuestions implements PeerService {
  private static final Logger log = LoggerFactory.getLogger(PeerQuestions.class);

  private final Loop loop;
  private final Peers peers;
  private final AttachChecks checks;
  private final PeerProbes probes;
  private final PeerService requests;

  /**
   * @param requests carries out all others
   */
  public PeerQuestions(
      Loop loop, Peers peers, AttachChecks checks, PeerProbes probes, PeerService requests) {
    this.loop = loop;
    this.peers = peers;
    this.checks = checks;
    this.probes = probes;
    this.requests = requests;
  }

  @Override
  public void connected(String peer) {
    loop.execute(() -> peers.link(peer).peerIsThere());
  }

  @Override
  public void handle(String peer, Role role, Frame request, Responder responder) {
    switch (request.getBodyCase()) {
      case CHECK_ATTACH ->
          answer(
              peer,
              request,
              responder,
              () ->
                  checks
                      .answer(request.getCheckAttach())
                      .thenApply(answer -> Frame.newBuilder().setCheckedAttach(answer)));
      case PROBE ->
          answer(
              peer,
              request,
              responder,
              () ->
                  CompletableFuture.completedFuture(
                      Frame.newBuilder().setProbed(probes.answer(peer, request.getProbe()))));
      default -> requests.handle(peer, role, request, responder);
    }
  }

  private void answer(
      String peer,
      Frame request,
      Responder responder,
      Supplier<CompletableFuture<Frame.Builder>> question) {
    var unused =
        CompletableFuture.completedFuture(null)
            .thenComposeAsync(now -> question.get(), loop)
            .exceptionally(
                error -> {
                  Throwable cause = error instanceof CompletionException ? error.getCause() : error;
                  log.error("{} of node {} failed", request.getBodyCase(), peer, cause);
                  PeerRefusal refusal =
                      new PeerRefusal(Refused.Code.FAILED, "internal error: " + cause);
                  return Frame.newBuilder().setRefused(refusal.toWire());
                })
            .thenAccept(answer -> responder.answer(answer, null, true));
  }
}
