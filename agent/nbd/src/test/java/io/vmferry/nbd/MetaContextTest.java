// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.OptionReply;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Structured replies and the contexts that need them. */
class MetaContextTest extends OptionFixture {
  @Test
  void o15StructuredRepliesMayBeAskedTwice() {
    ServerBytes answers = answers(client().structuredReplies().structuredReplies());
    assertThat(answers.optionReply().type()).isEqualTo(ACK);
    assertThat(answers.optionReply().type()).isEqualTo(ACK);
  }

  @Test
  void o17SetMetaContextNeedsStructuredReplies() {
    OptionReply reply = answer(10, ClientBytes.metaContextQuery("disk", "base:allocation"));
    assertThat(reply.type()).isEqualTo(ERR_INVALID);
  }

  @Test
  void o16o18ListMetaContextWithoutQueriesOrWithTheNamespaceListsAll() {
    for (String[] queries : new String[][] {{}, {"base:"}, {"qemu:", "base:allocation"}}) {
      ServerBytes answers =
          answers(client().option(9, ClientBytes.metaContextQuery("disk", queries)));
      OptionReply context = answers.optionReply();
      assertThat(context.type()).isEqualTo(4);
      context.data().getInt();
      assertThat(context.text()).endsWith("base:allocation");
      assertThat(answers.optionReply().type()).isEqualTo(ACK);
    }
  }

  @Test
  void o19o20OnlyTheExactContextIsSelected() {
    for (String query : new String[] {"base:", "base:other", "qemu:dirty-bitmap:x", ""}) {
      ServerBytes answers = answers(client().structuredReplies().setMetaContext("disk", query));
      answers.optionReply();
      assertThat(answers.optionReply().type()).as(query).isEqualTo(ACK);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {9, 10})
  void o21MalformedMetaContextQueriesAreInvalid(int option) {
    byte[] good = ClientBytes.metaContextQuery("disk", "base:allocation");
    byte[] queryTooLong = good.clone();
    queryTooLong[15] = 16;
    byte[] trailing = Arrays.copyOf(good, good.length + 1);
    byte[] manyQueries = good.clone();
    manyQueries[8] = (byte) 0xff;
    byte[] noCount = Arrays.copyOf(good, 10);
    for (byte[] bad : new byte[][] {{}, noCount, queryTooLong, trailing, manyQueries}) {
      ServerBytes answers = answers(client().structuredReplies().option(option, bad).option(3));
      answers.optionReply();
      assertThat(answers.lastOptionReply().type()).isEqualTo(ERR_INVALID);
      assertThat(answers.lastOptionReply().type()).isEqualTo(ACK);
    }
  }

  @Test
  void o22SetMetaContextOfUnknownExportIsUnknown() {
    ServerBytes answers =
        answers(client().structuredReplies().setMetaContext("nowhere", "base:allocation"));
    answers.optionReply();
    assertThat(answers.optionReply().type()).isEqualTo(ERR_UNKNOWN);
  }

  @Test
  void o23LaterSetMetaContextReplacesTheFormer() {
    byte[] malformed = new byte[2];
    for (ClientBytes later :
        new ClientBytes[] {
          new ClientBytes().setMetaContext("disk"),
          new ClientBytes().setMetaContext("nowhere", "base:allocation"),
          new ClientBytes().option(10, malformed)
        }) {
      ServerBytes answers =
          answers(
              client()
                  .structuredReplies()
                  .setMetaContext("disk", "base:allocation")
                  .raw(later.toBytes())
                  .go("disk")
                  .request(0, 7, 1, 0, 4096));
      for (int i = 0; i < 4; i++) {
        answers.lastOptionReply();
      }
      assertThat(answers.reply().error()).isEqualTo(22);
    }
  }

  @Test
  void o24ContextOfAnotherExportDoesNotCount() {
    export.otherwise = CompletableFuture.completedFuture(export);
    ServerBytes answers =
        answers(
            client()
                .structuredReplies()
                .setMetaContext("other", "base:allocation")
                .go("disk")
                .request(0, 7, 1, 0, 4096));
    for (int i = 0; i < 3; i++) {
      answers.lastOptionReply();
    }
    assertThat(answers.reply().error()).isEqualTo(22);
  }
}
