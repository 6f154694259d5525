// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static io.vmferry.nbd.NbdProtocol.INFO_BLOCK_SIZE;
import static io.vmferry.nbd.NbdProtocol.INFO_NAME;

import io.netty.buffer.ByteBuf;
import java.util.ArrayList;
import java.util.List;

/** Validates the data of options; what it returns needs no further check. */
final class OptionParser {

  /** Data of INFO and GO. Unknown information types are ignored, as the protocol asks. */
  record ExportQuery(String name, boolean wantsName, boolean wantsBlockSize) {}

  /** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
  record MetaContextQuery(String export, List<String> contexts) {}

  private OptionParser() {}

  static void requireEmpty(ByteBuf data) throws OptionException {
    if (data.isReadable()) {
      throw OptionException.invalid(
          "This option has no data, but %d bytes came with it.".formatted(data.readableBytes()));
    }
  }

  static String exportName(ByteBuf data) throws OptionException {
    return NbdStrings.read(data, data.readableBytes(), "export name");
  }

  static ExportQuery exportQuery(ByteBuf data) throws OptionException {
    String name = sizedString(data, "export name");
    if (data.readableBytes() < Short.BYTES) {
      throw OptionException.invalid("The number of information types is missing.");
    }
    int count = data.readUnsignedShort();
    if (data.readableBytes() != count * Short.BYTES) {
      throw OptionException.invalid(
          "%d information types were announced, but %d bytes came instead of %d."
              .formatted(count, data.readableBytes(), count * Short.BYTES));
    }
    boolean wantsName = false;
    boolean wantsBlockSize = false;
    while (data.isReadable()) {
      int type = data.readUnsignedShort();
      wantsName |= type == INFO_NAME;
      wantsBlockSize |= type == INFO_BLOCK_SIZE;
    }
    return new ExportQuery(name, wantsName, wantsBlockSize);
  }

  static MetaContextQuery metaContextQuery(ByteBuf data) throws OptionException {
    String export = sizedString(data, "export name");
    if (data.readableBytes() < Integer.BYTES) {
      throw OptionException.invalid("The number of queries is missing.");
    }
    long count = data.readUnsignedInt();
    List<String> contexts = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      contexts.add(sizedString(data, "query"));
    }
    if (data.isReadable()) {
      throw OptionException.invalid(
          "%d bytes came behind the last query.".formatted(data.readableBytes()));
    }
    return new MetaContextQuery(export, contexts);
  }

  private static String sizedString(ByteBuf data, String what) throws OptionException {
    if (data.readableBytes() < Integer.BYTES) {
      throw OptionException.invalid("The length of the %s is missing.".formatted(what));
    }
    return NbdStrings.read(data, data.readInt(), what);
  }
}
