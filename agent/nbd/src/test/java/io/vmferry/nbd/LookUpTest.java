// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.nbd.ServerBytes.OptionReply;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Exports that take their time to be found, are not given, or are asked for too late. */
class LookUpTest extends OptionFixture {
  @Test
  void o27OptionsWaitInOrderForALookUp() {
    CompletableFuture<NbdExport> found = new CompletableFuture<>();
    export.otherwise = found;
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().info("far").option(3));
      server.send(new ClientBytes().option(99).go("disk").read(3, 0, 4));
      assertThat(server.received()).hasSize(18);
      assertThat(server.channel.config().isAutoRead()).isFalse();
      found.complete(export);
      assertThat(server.channel.config().isAutoRead()).isTrue();
      ServerBytes answers = server.replies();
      for (int option : new int[] {6, 3, 99, 7}) {
        assertThat(answers.lastOptionReply().option()).isEqualTo(option);
      }
      assertThat(answers.reply(4).cookie()).isEqualTo(3);
    }
  }

  @Test
  void lookUpOfAClientThatLeftOpensNothing() {
    CompletableFuture<NbdExport> found = new CompletableFuture<>();
    export.otherwise = found;
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().go("far"));
      server.clientVanishes();
      found.complete(export);
      assertThat(export.calls).containsExactly("find far");
    }
  }

  @Test
  void lookUpMayEndOnAnotherThread() throws InterruptedException {
    CompletableFuture<NbdExport> found = new CompletableFuture<>();
    export.otherwise = found;
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().go("far"));
      Thread other = new Thread(() -> found.complete(export));
      other.start();
      other.join();
      server.replies();
      assertThat(server.negotiated).isEqualTo(1);
    }
  }

  @Test
  void lookUpThatBreaksEndsTheConnection() {
    export.otherwise = CompletableFuture.failedFuture(new IllegalStateException("broken"));
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().go("far"));
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void lookUpThatThrowsBehindAnotherOneEndsTheConnection() {
    CompletableFuture<NbdExport> found = new CompletableFuture<>();
    NbdExports broken =
        new NbdExports() {
          @Override
          public List<String> names() {
            return List.of();
          }

          @Override
          public CompletionStage<NbdExport> find(String name) {
            if (name.equals("far")) {
              return found;
            }
            throw new IllegalStateException("broken");
          }
        };
    try (EmbeddedServer server = new EmbeddedServer(broken)) {
      server.send(client().info("far").info("disk"));
      assertThat(server.isOpen()).isTrue();
      found.complete(export);
      assertThat(server.isOpen()).isFalse();
    }
  }

  @ParameterizedTest
  @EnumSource(NbdExportException.Reason.class)
  void refusalToOpenReachesTheClient(NbdExportException.Reason reason) {
    export.refusesToOpen = new NbdExportException(reason, "The volume went away; try again.");
    ServerBytes answers = answers(client().go("disk").option(3));
    OptionReply reply = answers.optionReply();
    int expected =
        switch (reason) {
          case UNKNOWN -> ERR_UNKNOWN;
          case POLICY -> ERR_POLICY;
          case SHUTDOWN -> ERR_SHUTDOWN;
        };
    assertThat(reply.type()).isEqualTo(expected);
    assertThat(reply.text()).isEqualTo("The volume went away; try again.");
    assertThat(answers.lastOptionReply().type()).isEqualTo(ACK);
  }

  @Test
  void o28WhoWaitsWhenTheServerStopsIsTold() {
    export.otherwise = new CompletableFuture<>();
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().go("far").option(3));
      server.stop();
      ServerBytes answers = server.replies().skipGreeting();
      assertThat(answers.optionReply()).extracting("option", "type").contains(7, ERR_SHUTDOWN);
      assertThat(answers.optionReply()).extracting("option", "type").contains(3, ERR_SHUTDOWN);
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void o28AbortIsAcknowledgedByAStoppingServerToo() {
    export.otherwise = new CompletableFuture<>();
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.send(client().go("far").option(2));
      server.stop();
      ServerBytes answers = server.replies().skipGreeting();
      assertThat(answers.optionReply()).extracting("option", "type").contains(7, ERR_SHUTDOWN);
      assertThat(answers.optionReply()).extracting("option", "type").contains(2, ACK);
      assertThat(server.isOpen()).isFalse();
    }
  }

  @Test
  void x32IdleHandshakeEndsWhenTheServerStops() {
    try (EmbeddedServer server = new EmbeddedServer(export)) {
      server.stop();
      assertThat(server.isOpen()).isFalse();
    }
  }
}
