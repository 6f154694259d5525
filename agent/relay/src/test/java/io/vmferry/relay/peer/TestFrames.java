// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import com.google.protobuf.ByteString;
import io.vmferry.relay.peer.wire.Done;
import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Locate;
import io.vmferry.relay.peer.wire.Read;

/** Frames that tests send. */
final class TestFrames {

  private TestFrames() {}

  static Frame locate() {
    return Frame.newBuilder().setLocate(Locate.newBuilder().addNames("vm1")).build();
  }

  static Frame read(long offset, int length) {
    ByteString uuid = ByteString.copyFrom(new byte[16]);
    return Frame.newBuilder()
        .setRead(Read.newBuilder().setUuid(uuid).setOffset(offset).setLength(length))
        .build();
  }

  static Frame.Builder done() {
    return Frame.newBuilder().setDone(Done.getDefaultInstance());
  }

  static Frame.Builder extent(long offset, int length) {
    return Frame.newBuilder().setExtent(Extent.newBuilder().setOffset(offset).setLength(length));
  }
}
