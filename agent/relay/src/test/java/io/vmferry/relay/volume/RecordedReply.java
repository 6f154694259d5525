// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.nbd.NbdError;
import io.vmferry.nbd.NbdSession;
import java.util.ArrayList;
import java.util.List;

/** What a guest was answered. A second answer is an error. */
public final class RecordedReply implements NbdSession.ReadReply, NbdSession.StatusReply {
  private final ByteBuf buffer = Unpooled.buffer();
  private final List<String> extents = new ArrayList<>();
  private String outcome;

  /** "ok", the error's name, or null while there is no answer. */
  public String outcome() {
    return outcome;
  }

  public byte[] bytes() {
    byte[] bytes = new byte[buffer.readableBytes()];
    buffer.getBytes(buffer.readerIndex(), bytes);
    return bytes;
  }

  public List<String> extents() {
    return extents;
  }

  @Override
  public ByteBuf buffer() {
    return buffer;
  }

  @Override
  public boolean extent(long length, boolean hole, boolean zero) {
    extents.add(length + (hole ? " hole" : " data"));
    return true;
  }

  @Override
  public void success() {
    end("ok");
  }

  @Override
  public void fail(NbdError error, String why) {
    end(error.name());
  }

  private void end(String how) {
    if (outcome != null) {
      throw new AssertionError("answered twice: " + outcome + ", " + how);
    }
    outcome = how;
  }
}
