// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.netty.buffer.ByteBuf;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import java.util.concurrent.CompletableFuture;

/** A question to a peer that has one answer. */
final class ControlCall {
  private ControlCall() {}

  /** Makes something of an answer; the payload is valid during the call only. */
  interface Reader<T> {
    T read(Frame answer, ByteBuf payload) throws Exception;
  }

  /**
   * Asks.
   *
   * @return completed on the loop; fails with RefusedException, LinkDownException, or what the
   *     reader threw
   */
  static <T> CompletableFuture<T> ask(PeerLink link, Frame request, Loop loop, Reader<T> reader) {
    CompletableFuture<T> future = new CompletableFuture<>();
    link.call(
        Role.CONTROL,
        request,
        loop,
        new PeerLink.Answers() {
          private T result;
          private Exception problem;

          @Override
          public void frame(Frame answer, ByteBuf payload) {
            if (answer.hasRefused()) {
              problem = new RefusedException(answer.getRefused());
              return;
            }
            try {
              result = reader.read(answer, payload);
            } catch (Exception e) {
              problem = e;
            }
          }

          @Override
          public void end(Exception error) {
            if (error != null) {
              future.completeExceptionally(error);
            } else if (problem != null) {
              future.completeExceptionally(problem);
            } else if (result == null) {
              future.completeExceptionally(
                  new IllegalStateException("node " + link.node() + " gave no answer"));
            } else {
              future.complete(result);
            }
          }
        });
    return future;
  }
}
