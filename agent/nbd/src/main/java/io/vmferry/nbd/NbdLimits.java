// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import java.time.Duration;

/** What one client may cost the server. Each limit says its unit and why it has its value. */
final class NbdLimits {

  /** Bytes; smallest request unit. 1, because the relay itself fetches around odd edges. */
  static final int MIN_BLOCK_SIZE = 1;

  /** Bytes; the block of the relay's maps, below which a write may have to fetch first. */
  static final int PREFERRED_BLOCK_SIZE = 4096;

  /** Bytes of payload in one request or chunk; what every client assumes without being told. */
  static final int MAX_PAYLOAD = 32 << 20;

  /**
   * Time the client may use for the handshake; a local client needs milliseconds. The time the
   * server itself uses to look up an export is not counted.
   */
  static final Duration HANDSHAKE_TIMEOUT = Duration.ofSeconds(10);

  /** Options in one handshake; a client that asks for INFO of every listed export needs many. */
  static final int MAX_OPTIONS = 256;

  /** Bytes of option data that are parsed: the longest name and a dozen of the longest queries. */
  static final int MAX_OPTION_BYTES = 64 << 10;

  /** Bytes of option data that are skipped; an option that claims more ends the connection. */
  static final long MAX_SKIPPED_OPTION_BYTES = MAX_PAYLOAD;

  /** Connections that have not finished the handshake; further ones wait in the backlog. */
  static final int MAX_HANDSHAKES = 100;

  /** Requests of one connection being executed; QEMU sends 16, the kernel client 128. */
  static final int MAX_REQUESTS_IN_FLIGHT = 128;

  /**
   * Payload bytes of the requests of one connection being executed. Two of the largest, so that one
   * is received while another is written.
   */
  static final long MAX_BYTES_IN_FLIGHT = 2L * MAX_PAYLOAD;

  /**
   * Bytes of replies that the client has not taken yet, above which no further request is started,
   * and below which requests are started again.
   */
  static final int MAX_UNSENT_BYTES = 8 << 20;

  static final int RESUME_UNSENT_BYTES = 4 << 20;

  /**
   * Bytes of replies in a socket: several large ones, so that the client has one to take while the
   * next is read. The kernel's default is less than 256 KiB. It allows net.core.wmem_max at most.
   */
  static final int SOCKET_SEND_BYTES = 1 << 20;

  /**
   * Bytes of a read that may be sent straight from a file: below it two calls of the kernel more
   * cost as much as the copy.
   */
  static final int MIN_FILE_REPLY_BYTES = 64 << 10;

  /** Extents in one BLOCK_STATUS reply: 64 KiB of reply; a client asks again for the rest. */
  static final int MAX_EXTENTS = 8192;

  /** Refused requests of one connection that are logged; the rest is only counted. */
  static final int MAX_LOGGED_REFUSALS = 10;

  private NbdLimits() {}
}
