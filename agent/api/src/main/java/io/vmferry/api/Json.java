// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import java.io.IOException;
import java.io.UncheckedIOException;

/**
 * The records of the control API as JSON: UTF-8, instants in ISO 8601, nulls written.
 *
 * <p>A server reads strictly: an unknown field in a request is a request that the server would only
 * half obey. A client ignores unknown fields in an answer, so that an older command can read a
 * newer relay.
 *
 * <p>Safe for any thread.
 */
public final class Json {
  private static final ObjectMapper MAPPER =
      JsonMapper.builder()
          .addModule(new JavaTimeModule())
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(
              DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES,
              DeserializationFeature.FAIL_ON_TRAILING_TOKENS,
              DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES,
              DeserializationFeature.FAIL_ON_NUMBERS_FOR_ENUMS)
          .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
          .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
          .disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
          .build();

  private static final ObjectReader LENIENT =
      MAPPER.reader().without(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

  private Json() {}

  /** One record, list or map as JSON without line breaks. */
  public static byte[] encode(Object value) {
    try {
      return MAPPER.writeValueAsBytes(value);
    } catch (JsonProcessingException e) {
      throw new UncheckedIOException("can't write " + value.getClass() + " as JSON", e);
    }
  }

  /** The same for people: indented, as a string. */
  public static String encodePretty(Object value) {
    try {
      return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(value);
    } catch (JsonProcessingException e) {
      throw new UncheckedIOException("can't write " + value.getClass() + " as JSON", e);
    }
  }

  /**
   * Reads a request as a server does.
   *
   * @throws IOException if it is not JSON, has an unknown or repeated field, lacks a number, or has
   *     the wrong type in a field
   */
  public static <T> T decodeStrict(byte[] json, Class<T> type) throws IOException {
    T value = MAPPER.readValue(json, type);
    if (value == null) {
      throw new IOException("null instead of a JSON object");
    }
    return value;
  }

  /**
   * Reads an answer as a client does: unknown fields are ignored.
   *
   * @throws IOException if it is not JSON or a known field has the wrong type
   */
  public static <T> T decodeLenient(byte[] json, TypeReference<T> type) throws IOException {
    return LENIENT.forType(type).readValue(json);
  }
}
