// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;

/**
 * Where an export is: {@code nbd://HOST[:PORT]/EXPORT}, {@code nbds://…} for TLS, or {@code
 * nbd+unix:///EXPORT?socket=PATH}.
 *
 * @param host name or address, without brackets; null for a Unix socket
 * @param port TCP port; 0 for a Unix socket
 * @param socket absolute path of a Unix socket; null for TCP
 * @param tls whether nothing may be said without TLS
 * @param export its name, maybe empty
 */
public record NbdUri(String host, int port, String socket, boolean tls, String export) {
  /** The port that is registered for NBD. */
  public static final int DEFAULT_PORT = 10809;

  /** Longest path of a Unix socket, without the NUL. */
  private static final int MAX_SOCKET_PATH = 107;

  private static final String SOCKET_QUERY = "socket=";

  /**
   * Reads one.
   *
   * @throws IllegalArgumentException if it isn't one that is understood whole; says why
   */
  public static NbdUri parse(String text) {
    URI uri;
    try {
      uri = new URI(text);
    } catch (URISyntaxException e) {
      throw refused(text, e.getReason());
    }
    if (uri.getScheme() == null || uri.isOpaque()) {
      throw refused(text, "it must begin with nbd://, nbds:// or nbd+unix://");
    }
    if (uri.getRawFragment() != null) {
      throw refused(text, "a # has no meaning here; write %23 if it is part of the name");
    }
    return switch (uri.getScheme()) {
      case "nbd" -> tcp(text, uri, false);
      case "nbds" -> tcp(text, uri, true);
      case "nbd+unix" -> unix(text, uri);
      case "nbds+unix" ->
          throw refused(text, "TLS has no host name to check on a Unix socket; use nbd+unix://");
      default -> throw refused(text, "it must begin with nbd://, nbds:// or nbd+unix://");
    };
  }

  private static NbdUri tcp(String text, URI uri, boolean tls) {
    if (uri.getHost() == null) {
      throw refused(text, "it names no host");
    }
    if (uri.getRawUserInfo() != null) {
      throw refused(text, "a user name is not supported");
    }
    if (uri.getRawQuery() != null) {
      throw refused(text, "what follows the ? is not supported");
    }
    int port = uri.getPort() < 0 ? DEFAULT_PORT : uri.getPort();
    if (port < 1 || port > 65535) {
      throw refused(text, "port " + port + " is none");
    }
    String host = uri.getHost();
    if (host.startsWith("[")) {
      host = host.substring(1, host.length() - 1);
    }
    return new NbdUri(host, port, null, tls, export(text, uri));
  }

  private static NbdUri unix(String text, URI uri) {
    if (uri.getRawAuthority() != null) {
      throw refused(text, "a Unix socket has no host; write nbd+unix:///EXPORT?socket=PATH");
    }
    String query = uri.getQuery();
    if (query == null || !query.startsWith(SOCKET_QUERY)) {
      throw refused(text, "the socket is missing; write nbd+unix:///EXPORT?socket=PATH");
    }
    if (uri.getRawQuery().contains("&")) {
      throw refused(text, "what follows the & is not supported");
    }
    String socket = query.substring(SOCKET_QUERY.length());
    if (!socket.startsWith("/")
        || socket.getBytes(StandardCharsets.UTF_8).length > MAX_SOCKET_PATH) {
      throw refused(text, "the socket must be an absolute path of at most 107 bytes");
    }
    return new NbdUri(null, 0, socket, false, export(text, uri));
  }

  private static String export(String text, URI uri) {
    String path = uri.getPath();
    String export = path.isEmpty() ? "" : path.substring(1);
    if (export.indexOf('\0') >= 0 || export.getBytes(StandardCharsets.UTF_8).length > 4096) {
      throw refused(text, "the export's name must have at most 4096 bytes and no NUL");
    }
    return export;
  }

  private static IllegalArgumentException refused(String text, String why) {
    return new IllegalArgumentException("'" + text + "' is not an NBD URI: " + why);
  }

  /** The server without the export, for people. */
  public String server() {
    return socket != null ? socket : (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
  }
}
