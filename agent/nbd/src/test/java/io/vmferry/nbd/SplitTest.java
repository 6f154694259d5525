// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.OptionReply;
import io.vmferry.nbd.ServerBytes.Reply;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

/** H06: wherever the socket cuts the client's bytes, the calls and the replies are the same. */
class SplitTest {
  private static final byte[] SESSION =
      new ClientBytes()
          .flags(3)
          .option(3)
          .option(99, new byte[70])
          .structuredReplies()
          .setMetaContext("disk", "base:allocation")
          .info("disk", 3)
          .go("nowhere")
          .go("disk", 1, 3)
          .read(1, 5, 100)
          .write(2, 64, new byte[50])
          .write(3, 8190, new byte[40])
          .request(1, 6, 4, 0, 20)
          .request(0, 7, 5, 0, 8192)
          .request(0, 3, 6, 0, 0)
          .request(0, 42, 7, 0, 0)
          .read(8, 0, 1)
          .disc()
          .toBytes();

  private record Outcome(
      List<String> calls, List<OptionReply> answers, Map<Long, Reply> replies, boolean open) {}

  private static Outcome run(int... cuts) {
    MemoryExport export = MemoryExport.writable(8192);
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.sendCut(SESSION, cuts);
      ServerBytes received = server.replies().skipGreeting();
      List<OptionReply> answers = new ArrayList<>();
      do {
        answers.add(received.optionReply());
      } while (!isEndOfHandshake(answers.get(answers.size() - 1)));
      // Replies may come in any order, and do: those without data are gathered.
      Map<Long, Reply> replies = new TreeMap<>();
      for (int i = 1; i <= 8; i++) {
        Reply reply = received.reply();
        replies.put(reply.cookie(), reply);
      }
      assertThat(received.atEnd()).isTrue();
      return new Outcome(List.copyOf(export.calls), answers, replies, server.isOpen());
    }
  }

  private static boolean isEndOfHandshake(OptionReply reply) {
    return reply.option() == 7 && reply.type() == 1;
  }

  private static void check(int... cuts) {
    Outcome whole = run();
    Outcome cut = run(cuts);
    assertThat(cut.calls()).isEqualTo(whole.calls());
    assertThat(cut.answers()).isEqualTo(whole.answers());
    assertThat(cut.replies()).isEqualTo(whole.replies());
    assertThat(cut.open()).isFalse();
  }

  @Test
  void theSessionReachesItsEnd() {
    assertThat(run().calls())
        .containsSubsequence("read 5+100", "write 64+50 fua=false", "flush", "read 0+1");
  }

  @Test
  void h06OneCutAnywhere() {
    for (int cut = 0; cut <= SESSION.length; cut++) {
      check(cut);
    }
  }

  @Test
  void h06EveryByteAlone() {
    int[] cuts = new int[SESSION.length];
    Arrays.setAll(cuts, i -> i);
    check(cuts);
  }

  @Property(tries = 500)
  void h06ManyCuts(@ForAll("cuts") int[] cuts) {
    check(cuts);
  }

  @Provide
  Arbitrary<int[]> cuts() {
    return Arbitraries.integers()
        .between(0, SESSION.length)
        .array(int[].class)
        .ofMaxSize(40)
        .map(
            cuts -> {
              Arrays.sort(cuts);
              return cuts;
            });
  }
}
