// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/**
 * Every number of the NBD protocol that is read or written here, and the names of them for log
 * lines. Names are those of the protocol document without the {@code NBD_} prefix.
 */
public final class NbdProtocol {

  // Greeting.
  public static final long NBDMAGIC = 0x4e42444d41474943L;
  public static final long IHAVEOPT = 0x49484156454f5054L;
  public static final int FLAG_FIXED_NEWSTYLE = 1;
  public static final int FLAG_NO_ZEROES = 1 << 1;
  public static final int FLAG_C_FIXED_NEWSTYLE = 1;
  public static final int FLAG_C_NO_ZEROES = 1 << 1;

  // Options: header is magic, option, length.
  public static final int OPTION_HEADER_BYTES = 16;
  public static final int OPT_EXPORT_NAME = 1;
  public static final int OPT_ABORT = 2;
  public static final int OPT_LIST = 3;
  public static final int OPT_PEEK_EXPORT = 4;
  public static final int OPT_STARTTLS = 5;
  public static final int OPT_INFO = 6;
  public static final int OPT_GO = 7;
  public static final int OPT_STRUCTURED_REPLY = 8;
  public static final int OPT_LIST_META_CONTEXT = 9;
  public static final int OPT_SET_META_CONTEXT = 10;
  public static final int OPT_EXTENDED_HEADERS = 11;

  /** Zeroes behind the answer to EXPORT_NAME unless the client said C_NO_ZEROES. */
  public static final int EXPORT_NAME_ZEROES = 124;

  // Option replies: header is magic, option, type, length.
  public static final long OPTION_REPLY_MAGIC = 0x0003e889045565a9L;
  public static final int OPTION_REPLY_HEADER_BYTES = 20;

  /** Set in the type of every reply that refuses an option. */
  public static final int REP_ERROR_BIT = 0x80000000;

  public static final int REP_ACK = 1;
  public static final int REP_SERVER = 2;
  public static final int REP_INFO = 3;
  public static final int REP_META_CONTEXT = 4;
  public static final int REP_ERR_UNSUP = 0x80000001;
  public static final int REP_ERR_POLICY = 0x80000002;
  public static final int REP_ERR_INVALID = 0x80000003;
  public static final int REP_ERR_PLATFORM = 0x80000004;
  public static final int REP_ERR_TLS_REQD = 0x80000005;
  public static final int REP_ERR_UNKNOWN = 0x80000006;
  public static final int REP_ERR_SHUTDOWN = 0x80000007;
  public static final int REP_ERR_BLOCK_SIZE_REQD = 0x80000008;
  public static final int REP_ERR_TOO_BIG = 0x80000009;

  // Information types of INFO and GO.
  public static final int INFO_EXPORT = 0;
  public static final int INFO_NAME = 1;
  public static final int INFO_BLOCK_SIZE = 3;
  public static final int INFO_EXPORT_BYTES = 12;
  public static final int INFO_BLOCK_SIZE_BYTES = 14;

  // The only metadata context offered.
  public static final String BASE_ALLOCATION = "base:allocation";

  /** Query that means every context of the namespace; only in LIST_META_CONTEXT. */
  public static final String BASE_NAMESPACE = "base:";

  public static final int BASE_ALLOCATION_ID = 1;
  public static final int STATE_HOLE = 1;
  public static final int STATE_ZERO = 1 << 1;

  // Transmission flags.
  public static final int FLAG_HAS_FLAGS = 1;
  public static final int FLAG_READ_ONLY = 1 << 1;
  public static final int FLAG_SEND_FLUSH = 1 << 2;
  public static final int FLAG_SEND_FUA = 1 << 3;
  public static final int FLAG_SEND_TRIM = 1 << 5;
  public static final int FLAG_SEND_WRITE_ZEROES = 1 << 6;
  public static final int FLAG_SEND_DF = 1 << 7;
  public static final int FLAG_CAN_MULTI_CONN = 1 << 8;
  public static final int FLAG_SEND_CACHE = 1 << 10;
  public static final int FLAG_SEND_FAST_ZERO = 1 << 11;

  // Requests: header is magic, flags, type, cookie, offset, length.
  public static final int REQUEST_MAGIC = 0x25609513;
  public static final int REQUEST_HEADER_BYTES = 28;
  public static final int CMD_READ = 0;
  public static final int CMD_WRITE = 1;
  public static final int CMD_DISC = 2;
  public static final int CMD_FLUSH = 3;
  public static final int CMD_TRIM = 4;
  public static final int CMD_CACHE = 5;
  public static final int CMD_WRITE_ZEROES = 6;
  public static final int CMD_BLOCK_STATUS = 7;
  public static final int CMD_FLAG_FUA = 1;
  public static final int CMD_FLAG_NO_HOLE = 1 << 1;
  public static final int CMD_FLAG_DF = 1 << 2;
  public static final int CMD_FLAG_REQ_ONE = 1 << 3;
  public static final int CMD_FLAG_FAST_ZERO = 1 << 4;

  // Simple replies: magic, error, cookie.
  public static final int SIMPLE_REPLY_MAGIC = 0x67446698;
  public static final int SIMPLE_REPLY_BYTES = 16;

  // Structured reply chunks: header is magic, flags, type, cookie, length.
  public static final int STRUCTURED_REPLY_MAGIC = 0x668e33ef;
  public static final int CHUNK_HEADER_BYTES = 20;
  public static final int REPLY_FLAG_DONE = 1;
  public static final int REPLY_TYPE_NONE = 0;
  public static final int REPLY_TYPE_OFFSET_DATA = 1;
  public static final int REPLY_TYPE_OFFSET_HOLE = 2;
  public static final int REPLY_TYPE_BLOCK_STATUS = 5;
  public static final int REPLY_TYPE_ERROR = 0x8001;
  public static final int REPLY_TYPE_ERROR_OFFSET = 0x8002;

  /** Set in the type of every chunk that reports an error, also of types not known yet. */
  public static final int REPLY_TYPE_ERROR_BIT = 0x8000;

  /** What an OFFSET_DATA chunk has before the data: the offset. */
  public static final int OFFSET_BYTES = 8;

  /** One extent of a BLOCK_STATUS chunk: length, state. */
  public static final int EXTENT_BYTES = 8;

  /** Longest string the protocol allows, for names, queries and error texts. */
  public static final int MAX_STRING_BYTES = 4096;

  private NbdProtocol() {}

  public static String optionName(int option) {
    return switch (option) {
      case OPT_EXPORT_NAME -> "EXPORT_NAME";
      case OPT_ABORT -> "ABORT";
      case OPT_LIST -> "LIST";
      case OPT_PEEK_EXPORT -> "PEEK_EXPORT";
      case OPT_STARTTLS -> "STARTTLS";
      case OPT_INFO -> "INFO";
      case OPT_GO -> "GO";
      case OPT_STRUCTURED_REPLY -> "STRUCTURED_REPLY";
      case OPT_LIST_META_CONTEXT -> "LIST_META_CONTEXT";
      case OPT_SET_META_CONTEXT -> "SET_META_CONTEXT";
      case OPT_EXTENDED_HEADERS -> "EXTENDED_HEADERS";
      default -> "option " + Integer.toUnsignedString(option);
    };
  }

  public static String replyName(int type) {
    return switch (type) {
      case REP_ERR_UNSUP -> "ERR_UNSUP";
      case REP_ERR_POLICY -> "ERR_POLICY";
      case REP_ERR_INVALID -> "ERR_INVALID";
      case REP_ERR_PLATFORM -> "ERR_PLATFORM";
      case REP_ERR_TLS_REQD -> "ERR_TLS_REQD";
      case REP_ERR_UNKNOWN -> "ERR_UNKNOWN";
      case REP_ERR_SHUTDOWN -> "ERR_SHUTDOWN";
      case REP_ERR_BLOCK_SIZE_REQD -> "ERR_BLOCK_SIZE_REQD";
      case REP_ERR_TOO_BIG -> "ERR_TOO_BIG";
      default -> "reply 0x" + Integer.toHexString(type);
    };
  }

  public static String commandName(int type) {
    return switch (type) {
      case CMD_READ -> "READ";
      case CMD_WRITE -> "WRITE";
      case CMD_DISC -> "DISC";
      case CMD_FLUSH -> "FLUSH";
      case CMD_TRIM -> "TRIM";
      case CMD_CACHE -> "CACHE";
      case CMD_WRITE_ZEROES -> "WRITE_ZEROES";
      case CMD_BLOCK_STATUS -> "BLOCK_STATUS";
      default -> "command " + type;
    };
  }
}
