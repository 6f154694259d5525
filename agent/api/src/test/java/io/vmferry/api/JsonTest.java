// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.type.TypeReference;
import java.io.IOException;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
  private static final TypeReference<CreateVolume> CREATE_VOLUME = new TypeReference<>() {};

  @Test
  void instantsAreIso8601() {
    TimelineEvent event =
        new TimelineEvent(7, Instant.parse("2026-11-21T03:04:05Z"), "a", "vm", "hook", "begin");
    assertThat(new String(Json.encode(event), UTF_8))
        .isEqualTo(
            "{\"seq\":7,\"time\":\"2026-11-21T03:04:05Z\",\"node\":\"a\",\"subject\":\"vm\","
                + "\"kind\":\"hook\",\"detail\":\"begin\"}");
  }

  @Test
  void whatIsWrittenCanBeRead() throws IOException {
    TimelineEvent event = new TimelineEvent(7, Instant.EPOCH, "a", "vm", "hook", "ü");
    assertThat(Json.decodeStrict(Json.encode(event), TimelineEvent.class)).isEqualTo(event);
  }

  @Test
  void nullsAreWritten() {
    assertThat(new String(Json.encode(new SetRate(null)), UTF_8))
        .isEqualTo("{\"bytesPerSecond\":null}");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "null",
        "[]",
        "{\"name\":\"a\",\"size\":1,\"color\":\"red\"}",
        "{\"name\":\"a\",\"name\":\"b\",\"size\":1}",
        "{\"name\":\"a\"}",
        "{\"name\":\"a\",\"size\":null}",
        "{\"name\":\"a\",\"size\":\"1\"}",
        "{\"name\":\"a\",\"size\":1.5}",
        "{\"name\":\"a\",\"size\":9223372036854775808}",
        "{\"name\":\"a\",\"size\":1} {}",
      })
  void serversRefuse(String request) {
    assertThatThrownBy(() -> Json.decodeStrict(request.getBytes(UTF_8), CreateVolume.class))
        .isInstanceOf(IOException.class);
  }

  @Test
  void clientsIgnoreUnknownFields() throws IOException {
    byte[] answer = "{\"name\":\"a\",\"size\":1,\"color\":\"red\"}".getBytes(UTF_8);
    assertThat(Json.decodeLenient(answer, CREATE_VOLUME)).isEqualTo(new CreateVolume("a", 1));
  }

  @Test
  void clientsRefuseAWrongType() {
    byte[] answer = "{\"name\":\"a\",\"size\":\"big\"}".getBytes(UTF_8);
    assertThatThrownBy(() -> Json.decodeLenient(answer, CREATE_VOLUME))
        .isInstanceOf(IOException.class);
  }
}
