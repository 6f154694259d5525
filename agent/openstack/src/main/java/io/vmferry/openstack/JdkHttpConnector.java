// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;
import java.util.concurrent.ConcurrentHashMap;
import javax.net.ssl.SSLContext;
import org.openstack4j.api.exceptions.ConnectionException;
import org.openstack4j.core.transport.ClientConstants;
import org.openstack4j.core.transport.HttpExecutorService;
import org.openstack4j.core.transport.HttpRequest;
import org.openstack4j.core.transport.HttpResponse;
import org.openstack4j.core.transport.ObjectMapperSingleton;
import org.openstack4j.core.transport.functions.EndpointURIFromRequestFunction;
import org.openstack4j.openstack.internal.OSAuthenticator;
import org.openstack4j.openstack.internal.OSClientSession;

/**
 * OpenStack4j's requests over the JDK's HTTP client; OpenStack4j finds it by its service file.
 * Nothing is logged: requests and answers carry passwords and tokens.
 */
public final class JdkHttpConnector implements HttpExecutorService {
  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);

  /** Nova answers lists of thousands of servers in less. */
  private static final Duration ANSWER_TIMEOUT = Duration.ofSeconds(60);

  private static final int UNAUTHORIZED = 401;

  /** Set by the JDK, or meant for OpenStack4j's own connectors. */
  private static final Set<String> NOT_SENT =
      Set.of(
          "content-length",
          "host",
          "connection",
          ClientConstants.HEADER_OS4J_AUTH.toLowerCase(Locale.ROOT));

  /** By SSL context; the key for the system's is this class's name. */
  private final Map<Object, HttpClient> clients = new ConcurrentHashMap<>();

  @Override
  public <R> HttpResponse execute(HttpRequest<R> request) {
    HttpResponse response = send(request);
    boolean login = request.getHeaders().containsKey(ClientConstants.HEADER_OS4J_AUTH);
    if (response.getStatus() != UNAUTHORIZED || login) {
      return response;
    }
    // Draining a host takes longer than a token lives.
    OSAuthenticator.reAuthenticate();
    request
        .getHeaders()
        .put(ClientConstants.HEADER_X_AUTH_TOKEN, OSClientSession.getCurrent().getTokenId());
    return send(request);
  }

  private <R> HttpResponse send(HttpRequest<R> request) {
    java.net.http.HttpRequest.Builder builder =
        java.net.http.HttpRequest.newBuilder(uri(request)).timeout(ANSWER_TIMEOUT);
    request
        .getHeaders()
        .forEach(
            (name, value) -> {
              if (!NOT_SENT.contains(name.toLowerCase(Locale.ROOT))) {
                builder.setHeader(name, String.valueOf(value));
              }
            });
    builder.method(request.getMethod().name(), body(request, builder));
    try {
      return new JdkHttpResponse(
          client(request.getConfig().getSslContext())
              .send(builder.build(), BodyHandlers.ofByteArray()));
    } catch (IOException e) {
      throw new ConnectionException(
          "no answer from " + uri(request).getAuthority() + ": " + reason(e), 0, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ConnectionException("interrupted", 0, e);
    }
  }

  private static String reason(IOException e) {
    return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
  }

  private static <R> BodyPublisher body(
      HttpRequest<R> request, java.net.http.HttpRequest.Builder builder) {
    String json = request.getJson();
    if (request.getEntity() != null) {
      try {
        json =
            ObjectMapperSingleton.getContext(request.getEntity().getClass())
                .writer()
                .writeValueAsString(request.getEntity());
      } catch (JsonProcessingException e) {
        throw new IllegalStateException("can't write a request of OpenStack4j", e);
      }
    }
    if (json == null) {
      return BodyPublishers.noBody();
    }
    builder.setHeader("Content-Type", "application/json");
    return BodyPublishers.ofString(json);
  }

  private static <R> URI uri(HttpRequest<R> request) {
    StringJoiner query = new StringJoiner("&", "?", "").setEmptyValue("");
    if (request.hasQueryParams()) {
      request
          .getQueryParams()
          .forEach(
              (name, values) ->
                  values.forEach(value -> query.add(name + "=" + encode(String.valueOf(value)))));
    }
    // getUrl() would add the parameters as well.
    return URI.create(new EndpointURIFromRequestFunction().apply(request) + query);
  }

  private static String encode(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8);
  }

  private HttpClient client(SSLContext context) {
    return clients.computeIfAbsent(
        context == null ? JdkHttpConnector.class.getName() : context,
        key -> {
          HttpClient.Builder builder =
              HttpClient.newBuilder()
                  .connectTimeout(CONNECT_TIMEOUT)
                  .version(HttpClient.Version.HTTP_1_1);
          return (context == null ? builder : builder.sslContext(context)).build();
        });
  }

  @Override
  public String getExecutorDisplayName() {
    return "JDK";
  }
}
