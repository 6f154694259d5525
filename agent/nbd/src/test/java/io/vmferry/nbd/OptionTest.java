// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.OptionReply;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Options, one by one. After each refusal the next option must still be understood. */
class OptionTest extends OptionFixture {
  @ParameterizedTest
  @ValueSource(ints = {0, 4, 11, 12, 99, -1})
  void o01o25UnknownOptionIsUnsupported(int option) {
    assertThat(answer(option, new byte[5]).type()).isEqualTo(ERR_UNSUP);
  }

  @Test
  void o02DataOfOneMebibyteIsSkippedWithoutKeepingIt() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().optionHeader(99, 1 << 20));
      for (int i = 0; i < 1 << 10; i++) {
        server.send(new byte[1 << 10]);
        assertThat(server.bufferedBytes()).isLessThan(4 << 10);
      }
      server.send(new ClientBytes().option(3));
      ServerBytes received = server.replies().skipGreeting();
      assertThat(received.lastOptionReply().type()).isEqualTo(ERR_TOO_BIG);
      assertThat(received.lastOptionReply().type()).isEqualTo(ACK);
    }
  }

  @Test
  void cve202226495o02ClaimOfFourGibibytesEndsTheConnection() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().optionHeader(99, -1));
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void o03AbortIsAcknowledgedAndTheEnd() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().option(2).option(3));
      ServerBytes received = server.replies().skipGreeting();
      assertThat(received.optionReply()).extracting("option", "type").containsExactly(2, ACK);
      assertThat(received.atEnd()).isTrue();
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void o04ListNamesEveryExport() {
    ServerBytes answers = answers(client().option(3));
    for (String name : new String[] {"disk", "zweite Platte"}) {
      OptionReply reply = answers.optionReply();
      assertThat(reply.type()).isEqualTo(2);
      assertThat(reply.data().getInt()).isEqualTo(name.length());
      assertThat(reply.text()).isEqualTo(name);
    }
    assertThat(answers.optionReply().type()).isEqualTo(ACK);
  }

  @ParameterizedTest
  @ValueSource(ints = {3, 5, 8})
  void o05o15o26OptionsWithoutDataRefuseData(int option) {
    assertThat(answer(option, new byte[1]).type()).isEqualTo(ERR_INVALID);
  }

  @Test
  void o06cve201914850InfoDescribesTheExportAndOpensNothing() {
    ServerBytes answers = answers(client().info("disk"));
    OptionReply info = answers.optionReply();
    assertThat(info.type()).isEqualTo(3);
    assertThat(info.data().remaining()).isEqualTo(12);
    assertThat(info.data().getShort()).isEqualTo((short) 0);
    assertThat(info.data().getLong()).isEqualTo(8192);
    assertThat(answers.optionReply().type()).isEqualTo(ACK);
    assertThat(answers.atEnd()).isTrue();
    assertThat(export.calls).containsExactly("find disk");
  }

  @ParameterizedTest
  @ValueSource(ints = {6, 7})
  void o07UnknownExportIsUnknownAndNothingElse(int option) {
    ServerBytes answers = answers(client().option(option, ClientBytes.exportQuery("nowhere")));
    OptionReply reply = answers.optionReply();
    assertThat(reply.type()).isEqualTo(ERR_UNKNOWN);
    assertThat(reply.text()).isEqualTo("There is no export nowhere");
    assertThat(answers.atEnd()).isTrue();
  }

  @Test
  void o08UnknownAndDoubleInformationRequestsAreHarmless() {
    ServerBytes answers = answers(client().info("disk", 77, 3, 3, 2));
    assertThat(answers.optionReply().data().getShort()).isEqualTo((short) 0);
    assertThat(answers.optionReply().data().getShort()).isEqualTo((short) 3);
    assertThat(answers.optionReply().type()).isEqualTo(ACK);
  }

  @Test
  void o09BlockSizesAreToldWhenAsked() {
    ServerBytes answers = answers(client().info("disk", 3));
    answers.optionReply();
    ByteBuffer sizes = answers.optionReply().data();
    assertThat(sizes.remaining()).isEqualTo(14);
    assertThat(sizes.getShort()).isEqualTo((short) 3);
    assertThat(sizes.getInt()).isEqualTo(1);
    assertThat(sizes.getInt()).isEqualTo(4096);
    assertThat(sizes.getInt()).isEqualTo(32 << 20);
  }

  @Test
  void o10BlockSizesNeedNotBeAsked() {
    ServerBytes answers = answers(client().go("disk").read(5, 0, 8));
    assertThat(answers.optionReply().data().getShort()).isEqualTo((short) 0);
    assertThat(answers.optionReply().type()).isEqualTo(ACK);
    assertThat(answers.reply(8).cookie()).isEqualTo(5);
  }

  @Test
  void infoNameIsToldWhenAsked() {
    ServerBytes answers = answers(client().info("disk", 1));
    answers.optionReply();
    ByteBuffer name = answers.optionReply().data();
    assertThat(name.getShort()).isEqualTo((short) 1);
    assertThat(StandardCharsets.UTF_8.decode(name).toString()).isEqualTo("disk");
  }

  @ParameterizedTest
  @ValueSource(ints = {6, 7})
  void o11cve202226496MalformedQueriesAreInvalid(int option) {
    byte[] good = ClientBytes.exportQuery("disk", 3);
    byte[] nameTooLong = good.clone();
    nameTooLong[3] = 5 + 2 + 2;
    byte[] nameHuge = good.clone();
    nameHuge[0] = (byte) 0xff;
    byte[] countTooHigh = good.clone();
    countTooHigh[9] = 2;
    byte[] countTooLow = good.clone();
    countTooLow[9] = 0;
    for (byte[] bad :
        new byte[][] {
          {},
          new byte[3],
          new byte[4],
          new byte[5],
          nameTooLong,
          nameHuge,
          countTooHigh,
          countTooLow
        }) {
      assertThat(answer(option, bad).type()).isEqualTo(ERR_INVALID);
    }
  }

  @Test
  void h10NameOf4096BytesIsLookedUp() {
    String name = "x".repeat(4096);
    assertThat(answer(7, ClientBytes.exportQuery(name)).type()).isEqualTo(ERR_UNKNOWN);
    assertThat(export.calls).containsExactly("find " + name);
  }

  @ParameterizedTest
  @ValueSource(ints = {6, 7})
  void h10NameThatIsTooLongOrNotTextIsInvalid(int option) {
    byte[] notUtf8 = ClientBytes.exportQuery("disk");
    notUtf8[5] = (byte) 0xff;
    assertThat(answer(option, ClientBytes.exportQuery("x".repeat(4097))).type())
        .isEqualTo(ERR_INVALID);
    assertThat(answer(option, ClientBytes.exportQuery("di\0sk")).type()).isEqualTo(ERR_INVALID);
    assertThat(answer(option, notUtf8).type()).isEqualTo(ERR_INVALID);
    assertThat(export.calls).isEmpty();
  }

  @Test
  void o12o13FailedGoIsFollowedByAGoodOne() {
    ServerBytes answers = answers(client().go("nowhere").go("disk").read(5, 0, 8));
    assertThat(answers.lastOptionReply().type()).isEqualTo(ERR_UNKNOWN);
    assertThat(answers.lastOptionReply().type()).isEqualTo(ACK);
    assertThat(answers.reply(8).cookie()).isEqualTo(5);
  }

  @Test
  void o14InfoAndGoSayTheSame() {
    ServerBytes answers = answers(client().structuredReplies().info("disk").go("disk"));
    answers.lastOptionReply();
    OptionReply info = answers.optionReply();
    answers.optionReply();
    assertThat(answers.optionReply().data()).isEqualTo(info.data());
  }

  @Test
  void o26StartTlsIsUnsupported() {
    assertThat(answer(5, new byte[0]).type()).isEqualTo(ERR_UNSUP);
  }

  @Test
  void o27OptionsAreBounded() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      ClientBytes options = client();
      for (int i = 0; i < 256; i++) {
        options.option(99);
      }
      server.send(options);
      assertThat(server.isOpen()).isTrue();
      server.send(new ClientBytes().option(99));
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void o29cve202010761LongErrorTextIsCutBetweenCharacters() {
    export.otherwise =
        CompletableFuture.failedFuture(
            new NbdExportException(NbdExportException.Reason.POLICY, "\0" + "ü".repeat(4096)));
    String text = answer(7, ClientBytes.exportQuery("far")).text();
    assertThat(text).isEqualTo(" " + "ü".repeat(2047));
  }

  @Test
  void cve202010761TextAboutTheLongestNameFits() {
    String text = answer(7, ClientBytes.exportQuery("x".repeat(4096))).text();
    assertThat(text).startsWith("There is no export xxx").hasSize(4096);
  }

  @ParameterizedTest
  @CsvSource({"false, false, false", "true, false, true", "false, true, true", "true, true, true"})
  void x01NoFlagWithoutItsFeature(boolean readOnly, boolean multiConn, boolean structured) {
    MemoryExport other =
        new MemoryExport(new ExportInfo("disk", 512, readOnly, !readOnly, multiConn));
    try (EmbeddedServer server = new EmbeddedServer(other)) {
      ClientBytes options = client();
      if (structured) {
        options.structuredReplies();
      }
      server.send(options.info("disk"));
      ServerBytes answers = server.replies().skipGreeting();
      if (structured) {
        answers.optionReply();
      }
      int flags = answers.optionReply().data().getShort(10) & 0xffff;
      assertThat(flags & 1).as("HAS_FLAGS").isEqualTo(1);
      assertThat((flags & 1 << 1) != 0).as("READ_ONLY").isEqualTo(readOnly);
      assertThat(flags & 1 << 4).as("ROTATIONAL").isZero();
      assertThat((flags & 1 << 5) != 0).as("TRIM").isEqualTo(!readOnly);
      assertThat((flags & 1 << 6) != 0).as("WRITE_ZEROES").isEqualTo(!readOnly);
      assertThat((flags & 1 << 7) != 0).as("DF").isEqualTo(structured);
      assertThat((flags & 1 << 8) != 0).as("MULTI_CONN").isEqualTo(multiConn);
      assertThat((flags & 1 << 11) != 0).as("FAST_ZERO").isEqualTo(!readOnly);
      assertThat(flags & (1 << 9 | 0xf000)).as("RESIZE and unknown ones").isZero();
    }
  }

  @Test
  void x01ReadOnlyExportAdvertisesNoCommandThatItRefuses() {
    MemoryExport readOnly = new MemoryExport(new ExportInfo("disk", 512, true, true, false));
    try (EmbeddedServer server = new EmbeddedServer(readOnly)) {
      server.send(client().structuredReplies().info("disk"));
      ServerBytes answers = server.replies().skipGreeting();
      answers.optionReply();
      ByteBuffer info = answers.optionReply().data();
      // HAS_FLAGS, READ_ONLY, FLUSH, FUA, DF, CACHE
      assertThat(info.getShort(10) & 0xffff).isEqualTo(0b100_1000_1111);
    }
  }
}
