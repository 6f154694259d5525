// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.Reply;

/** A server in transmission, and the numbers of the protocol as a client writes them. */
abstract class TransmissionFixture {
  static final int EPERM = 1;
  static final int EIO = 5;
  static final int EINVAL = 22;
  static final int ENOSPC = 28;
  static final int ENOTSUP = 95;
  static final int ESHUTDOWN = 108;

  static final int READ = 0;
  static final int WRITE = 1;
  static final int FLUSH = 3;
  static final int TRIM = 4;
  static final int CACHE = 5;
  static final int WRITE_ZEROES = 6;
  static final int BLOCK_STATUS = 7;

  static final int SIZE = 64 << 10;

  final MemoryExport export = MemoryExport.writable(SIZE);

  static EmbeddedServer serve(MemoryExport export) {
    return EmbeddedServer.transmitting(export, true);
  }

  /** The reply to one request, after which the connection must still work. */
  Reply reply(MemoryExport served, ClientBytes request) {
    try (EmbeddedServer server = serve(served)) {
      server.send(request);
      Reply reply = server.replies().reply();
      server.send(new ClientBytes().read(-7, 0, 1));
      assertThat(server.replies().reply().cookie()).isEqualTo(-7);
      return reply;
    }
  }

  Reply reply(ClientBytes request) {
    return reply(export, request);
  }

  int error(int flags, int type, long offset, int length) {
    ClientBytes request = new ClientBytes().request(flags, type, 1, offset, length);
    if (type == WRITE) {
      request.raw(new byte[length]);
    }
    return reply(request).error();
  }
}
