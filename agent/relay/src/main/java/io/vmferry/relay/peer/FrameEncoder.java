// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import com.google.protobuf.CodedOutputStream;
import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.handler.codec.MessageToMessageEncoder;
import java.io.IOException;
import java.util.List;

/** Writes {@link PeerFrame}s into the stream; the payload follows its header without a copy. */
final class FrameEncoder extends MessageToMessageEncoder<PeerFrame> {

  FrameEncoder() {
    super(PeerFrame.class);
  }

  @Override
  protected void encode(ChannelHandlerContext ctx, PeerFrame frame, List<Object> out)
      throws IOException {
    int headerBytes = frame.header().getSerializedSize();
    int payloadBytes = frame.payload().readableBytes();
    int length = FrameLimits.PREFIX_BYTES + headerBytes;
    ByteBuf head = ctx.alloc().directBuffer(length, length);
    out.add(head);
    head.writeInt(FrameLimits.MAGIC).writeInt(headerBytes).writeInt(payloadBytes);
    CodedOutputStream header =
        CodedOutputStream.newInstance(head.nioBuffer(head.writerIndex(), headerBytes));
    frame.header().writeTo(header);
    header.flush();
    head.writerIndex(length);
    if (payloadBytes > 0) {
      out.add(frame.payload().retain());
    }
  }
}
