// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Map;
import java.util.TreeMap;
import org.openstack4j.api.exceptions.ClientResponseException;
import org.openstack4j.core.transport.ExecutionOptions;
import org.openstack4j.core.transport.HttpEntityHandler;
import org.openstack4j.core.transport.HttpResponse;
import org.openstack4j.core.transport.ObjectMapperSingleton;

/** An answer that has been read whole. */
final class JdkHttpResponse implements HttpResponse {
  private final java.net.http.HttpResponse<byte[]> response;

  JdkHttpResponse(java.net.http.HttpResponse<byte[]> response) {
    this.response = response;
  }

  byte[] body() {
    return response.body();
  }

  @Override
  public <T> T getEntity(Class<T> type) {
    return getEntity(type, null);
  }

  @Override
  public <T> T getEntity(Class<T> type, ExecutionOptions<T> options) {
    return HttpEntityHandler.handle(this, type, options, true);
  }

  @Override
  public <T> T readEntity(Class<T> type) {
    try {
      return ObjectMapperSingleton.getContext(type).readerFor(type).readValue(response.body());
    } catch (IOException e) {
      // Not the answer itself: it may be a token.
      throw new ClientResponseException("the answer is no " + type.getSimpleName(), getStatus());
    }
  }

  @Override
  public int getStatus() {
    return response.statusCode();
  }

  @Override
  public String getStatusMessage() {
    return "HTTP status " + getStatus();
  }

  @Override
  public InputStream getInputStream() {
    return new ByteArrayInputStream(response.body());
  }

  @Override
  public String header(String name) {
    return response.headers().firstValue(name).orElse(null);
  }

  @Override
  public Map<String, String> headers() {
    Map<String, String> first = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
    response.headers().map().forEach((name, values) -> first.put(name, values.get(0)));
    return first;
  }

  @Override
  public String getContentType() {
    return header("Content-Type");
  }

  @Override
  public void close() {
    // Nothing is open.
  }
}
