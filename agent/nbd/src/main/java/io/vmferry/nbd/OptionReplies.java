// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdLimits.MAX_PAYLOAD;
import static io.vmferry.nbd.NbdLimits.MIN_BLOCK_SIZE;
import static io.vmferry.nbd.NbdLimits.PREFERRED_BLOCK_SIZE;
import static io.vmferry.nbd.NbdProtocol.EXPORT_NAME_ZEROES;
import static io.vmferry.nbd.NbdProtocol.INFO_BLOCK_SIZE;
import static io.vmferry.nbd.NbdProtocol.INFO_BLOCK_SIZE_BYTES;
import static io.vmferry.nbd.NbdProtocol.INFO_EXPORT;
import static io.vmferry.nbd.NbdProtocol.INFO_EXPORT_BYTES;
import static io.vmferry.nbd.NbdProtocol.INFO_NAME;
import static io.vmferry.nbd.NbdProtocol.OPTION_REPLY_HEADER_BYTES;
import static io.vmferry.nbd.NbdProtocol.OPTION_REPLY_MAGIC;
import static io.vmferry.nbd.NbdProtocol.REP_ACK;
import static io.vmferry.nbd.NbdProtocol.REP_INFO;
import static io.vmferry.nbd.NbdProtocol.REP_META_CONTEXT;
import static io.vmferry.nbd.NbdProtocol.REP_SERVER;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;

/** Encodes what the server says during the handshake. Writes, never flushes. */
final class OptionReplies {

  private final ChannelHandlerContext ctx;

  OptionReplies(ChannelHandlerContext ctx) {
    this.ctx = ctx;
  }

  void greeting() {
    ByteBuf out = ctx.alloc().directBuffer(2 * Long.BYTES + Short.BYTES);
    out.writeLong(NbdProtocol.NBDMAGIC);
    out.writeLong(NbdProtocol.IHAVEOPT);
    out.writeShort(NbdProtocol.FLAG_FIXED_NEWSTYLE | NbdProtocol.FLAG_NO_ZEROES);
    send(out);
  }

  void ack(int option) {
    send(reply(option, REP_ACK, 0));
  }

  void error(int option, int type, String text) {
    byte[] bytes = NbdStrings.encode(text);
    send(reply(option, type, bytes.length).writeBytes(bytes));
  }

  void server(int option, String exportName) {
    byte[] name = NbdStrings.encode(exportName);
    ByteBuf out = reply(option, REP_SERVER, Integer.BYTES + name.length);
    send(out.writeInt(name.length).writeBytes(name));
  }

  void infoExport(int option, long size, int transmissionFlags) {
    ByteBuf out = reply(option, REP_INFO, INFO_EXPORT_BYTES);
    out.writeShort(INFO_EXPORT).writeLong(size).writeShort(transmissionFlags);
    send(out);
  }

  void infoName(int option, String exportName) {
    byte[] name = NbdStrings.encode(exportName);
    ByteBuf out = reply(option, REP_INFO, Short.BYTES + name.length);
    send(out.writeShort(INFO_NAME).writeBytes(name));
  }

  void infoBlockSize(int option) {
    ByteBuf out = reply(option, REP_INFO, INFO_BLOCK_SIZE_BYTES);
    out.writeShort(INFO_BLOCK_SIZE);
    out.writeInt(MIN_BLOCK_SIZE).writeInt(PREFERRED_BLOCK_SIZE).writeInt(MAX_PAYLOAD);
    send(out);
  }

  void metaContext(int option, int id, String context) {
    byte[] name = NbdStrings.encode(context);
    ByteBuf out = reply(option, REP_META_CONTEXT, Integer.BYTES + name.length);
    send(out.writeInt(id).writeBytes(name));
  }

  /** The answer to EXPORT_NAME, which has no header. */
  void exportName(long size, int transmissionFlags, boolean zeroes) {
    int padding = zeroes ? EXPORT_NAME_ZEROES : 0;
    ByteBuf out = ctx.alloc().directBuffer(Long.BYTES + Short.BYTES + padding);
    send(out.writeLong(size).writeShort(transmissionFlags).writeZero(padding));
  }

  private ByteBuf reply(int option, int type, int dataBytes) {
    ByteBuf out = ctx.alloc().directBuffer(OPTION_REPLY_HEADER_BYTES + dataBytes);
    return out.writeLong(OPTION_REPLY_MAGIC).writeInt(option).writeInt(type).writeInt(dataBytes);
  }

  /** A failed write reaches the handler's exceptionCaught. */
  private void send(ByteBuf out) {
    var unused = ctx.write(out, ctx.voidPromise());
  }
}
