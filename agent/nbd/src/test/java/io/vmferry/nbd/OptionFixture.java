// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.OptionReply;

/** A server in its handshake, and the answers to options as a client reads them. */
abstract class OptionFixture {
  static final int ACK = 1;
  static final int ERR_UNSUP = 0x80000001;
  static final int ERR_POLICY = 0x80000002;
  static final int ERR_INVALID = 0x80000003;
  static final int ERR_UNKNOWN = 0x80000006;
  static final int ERR_SHUTDOWN = 0x80000007;
  static final int ERR_TOO_BIG = 0x80000009;

  final MemoryExport export = MemoryExport.writable(8192);

  static ClientBytes client() {
    return new ClientBytes().flags(3);
  }

  ServerBytes answers(ClientBytes options) {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(options);
      return server.replies().skipGreeting();
    }
  }

  /** Sends one option and an LIST behind it; gives the answer to the first. */
  OptionReply answer(int option, byte[] data) {
    ServerBytes answers = answers(client().option(option, data).option(3));
    OptionReply answer = answers.lastOptionReply();
    assertThat(answer.option()).isEqualTo(option);
    assertThat(answers.lastOptionReply()).extracting("option", "type").containsExactly(3, ACK);
    return answer;
  }
}
