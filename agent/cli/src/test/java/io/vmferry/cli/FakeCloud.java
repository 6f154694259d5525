// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Keystone and Nova over real HTTP: servers, live migrations that take some looks, and failures as
 * a test sets them. Answers only what Nova's schema of the microversion allows.
 */
final class FakeCloud implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Nova's has no message, but the line of our driver that makes it. */
  private static final String TRACEBACK =
      """
        File "/usr/lib/python3/dist-packages/nova/virt/libvirt/driver.py", line 1901, in _connect_volume
          vol_driver.connect_volume(connection_info, instance)
        File "/usr/lib/python3/dist-packages/vmferry_openstack/nova_volume.py", line 47, in connect_volume
          raise exception.VolumeAttachFailed(volume_id=x, reason=f"vmferry: {e}") from e
      """;

  static final String PASSWORD = "s3cret-Passw0rd";

  /** The id of an application credential whose secret is the password, too. */
  static final String CREDENTIAL = "credential-1";

  /** A server; mutable, as clouds are. */
  static final class Guest {
    String id;
    String name;
    String status = "ACTIVE";
    String host;
    List<String> volumes = List.of();
    String details;
  }

  private static final class Move {
    int id;
    Guest guest;
    String source;
    String destination;
    String status = "queued";
    int looks;
  }

  final Map<String, Guest> guests = new LinkedHashMap<>();
  final List<String> calls = new ArrayList<>();
  private final List<Move> moves = new ArrayList<>();

  /** Looks at a migration before it ends. */
  int looksUntilDone = 2;

  /** Looks after which a migration is listed: Nova begins it some time after the request. */
  int looksUntilListed;

  /** Reason by server's name: the migration fails. */
  final Map<String, String> failing = new TreeMap<>();

  /** Nova says completed, and the server has not moved. */
  boolean lies;

  /** Nova is one that has no messages in its events. */
  boolean old;

  /** What a request for a migration is refused with, at once. */
  String refusal;

  /** Requests after which the token has expired. */
  int tokenLife = Integer.MAX_VALUE;

  int mostUnderWay;
  private int tokens;
  private int usesOfToken;
  private final HttpServer server;

  FakeCloud() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::handle);
    server.start();
  }

  String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  Guest add(String name, String host, String... volumes) {
    Guest guest = new Guest();
    guest.id = "id-of-" + name;
    guest.name = name;
    guest.host = host;
    guest.volumes = List.of(volumes);
    guests.put(guest.id, guest);
    return guest;
  }

  @Override
  public void close() {
    server.stop(0);
  }

  private synchronized void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      String path = exchange.getRequestURI().getPath();
      calls.add(exchange.getRequestMethod() + " " + exchange.getRequestURI());
      if (path.equals("/identity/v3/auth/tokens")) {
        login(exchange);
      } else if (!("token-" + tokens).equals(exchange.getRequestHeaders().getFirst("X-Auth-Token"))
          || ++usesOfToken > tokenLife) {
        answer(exchange, 401, "{\"error\": {\"message\": \"expired\"}}");
      } else if (!version(path)
          .equals(exchange.getRequestHeaders().getFirst("X-OpenStack-Nova-API-Version"))) {
        answer(exchange, 406, "{\"computeFault\": {\"message\": \"microversion\"}}");
      } else {
        compute(exchange, path.substring("/compute/v2.1".length()));
      }
    }
  }

  /** The microversion that has what is asked for. */
  private String version(String path) {
    return path.endsWith("/os-instance-actions/r1") && !old ? "2.84" : "2.53";
  }

  private static boolean isRightPassword(JsonNode auth) {
    JsonNode user = auth.at("/identity/password/user");
    return user.path("name").asText().equals("admin")
        && user.path("password").asText().equals(PASSWORD)
        && user.path("domain").path("name").asText().equals("Default")
        && auth.at("/scope/project/name").asText().equals("ops");
  }

  /** Its project is its own: Keystone refuses it together with one. */
  private static boolean isRightCredential(JsonNode auth) {
    JsonNode credential = auth.at("/identity/application_credential");
    boolean known =
        credential.path("id").asText().equals(CREDENTIAL)
            || (credential.path("name").asText().equals("of-admin")
                && credential.at("/user/name").asText().equals("admin")
                && credential.at("/user/domain/name").asText().equals("Default"));
    return known && credential.path("secret").asText().equals(PASSWORD) && !auth.has("scope");
  }

  private void login(HttpExchange exchange) throws IOException {
    JsonNode auth = JSON.readTree(exchange.getRequestBody()).path("auth");
    boolean right =
        switch (auth.at("/identity/methods/0").asText()) {
          case "password" -> isRightPassword(auth);
          case "application_credential" -> isRightCredential(auth);
          default -> false;
        };
    if (!right) {
      answer(exchange, 401, "{\"error\": {\"code\": 401, \"message\": \"wrong\"}}");
      return;
    }
    tokens++;
    usesOfToken = 0;
    exchange.getResponseHeaders().set("X-Subject-Token", "token-" + tokens);
    answer(
        exchange,
        201,
        """
        {"token": {"methods": ["password"], "expires_at": "2099-01-01T00:00:00.000000Z",
         "user": {"id": "u", "name": "admin", "domain": {"id": "default", "name": "Default"}},
         "project": {"id": "p", "name": "ops", "domain": {"id": "default", "name": "Default"}},
         "catalog": [{"id": "c", "type": "compute", "name": "nova", "endpoints": [
          {"id": "e", "interface": "public", "region": "one", "region_id": "one",
           "url": "%s/compute/v2.1"}]}]}}
        """
            .formatted(url()));
  }

  private void compute(HttpExchange exchange, String path) throws IOException {
    Map<String, String> query = query(exchange);
    String[] parts = path.split("/", -1);
    if (path.equals("/servers/detail")) {
      list(exchange, query);
    } else if (path.equals("/os-migrations")) {
      migrations(exchange, query);
    } else if (!guests.containsKey(parts[2])) {
      answer(exchange, 404, "{\"itemNotFound\": {\"message\": \"Instance not found\"}}");
    } else if (path.endsWith("/action")) {
      migrate(exchange, guests.get(parts[2]));
    } else if (path.endsWith("/os-instance-actions")) {
      answer(
          exchange,
          200,
          "{\"instanceActions\": [{\"action\": \"reboot\", \"request_id\": \"r0\"},"
              + "{\"action\": \"live-migration\", \"request_id\": \"r1\"}]}");
    } else if (path.endsWith("/os-instance-actions/r1")) {
      ObjectNode action = JSON.createObjectNode();
      ArrayNode events = action.putObject("instanceAction").putArray("events");
      events.addObject().put("result", "Success").putNull("traceback").putNull("details");
      events
          .addObject()
          .put("result", "Error")
          .put("traceback", TRACEBACK)
          .put("details", guests.get(parts[2]).details);
      answer(exchange, 200, action.toString());
    } else {
      ObjectNode one = JSON.createObjectNode();
      one.set("server", json(guests.get(parts[2])));
      answer(exchange, 200, one.toString());
    }
  }

  private void list(HttpExchange exchange, Map<String, String> query) throws IOException {
    if (!"1".equals(query.get("all_tenants"))) {
      answer(exchange, 400, "{\"badRequest\": {\"message\": \"all_tenants\"}}");
      return;
    }
    ObjectNode page = JSON.createObjectNode();
    ArrayNode servers = page.putArray("servers");
    boolean begun = !query.containsKey("marker");
    for (Guest guest : guests.values()) {
      boolean wanted = !query.containsKey("host") || query.get("host").equals(guest.host);
      if (begun && wanted && servers.size() < Integer.parseInt(query.get("limit"))) {
        servers.add(json(guest));
      }
      begun |= guest.id.equals(query.get("marker"));
    }
    answer(exchange, 200, page.toString());
  }

  private static ObjectNode json(Guest guest) {
    ObjectNode node = JSON.createObjectNode();
    node.put("id", guest.id).put("name", guest.name).put("status", guest.status);
    node.put("OS-EXT-SRV-ATTR:host", guest.host);
    ArrayNode volumes = node.putArray("os-extended-volumes:volumes_attached");
    guest.volumes.forEach(volume -> volumes.addObject().put("id", volume));
    return node;
  }

  private void migrate(HttpExchange exchange, Guest guest) throws IOException {
    JsonNode body = JSON.readTree(exchange.getRequestBody()).path("os-migrateLive");
    if (body.size() != 2 || !body.path("block_migration").asText().equals("auto")) {
      answer(exchange, 400, "{\"badRequest\": {\"message\": \"schema\"}}");
    } else if (refusal != null) {
      answer(exchange, 409, "{\"conflictingRequest\": {\"message\": \"" + refusal + "\"}}");
    } else {
      begin(guest, body.path("host").asText());
      answer(exchange, 202, "");
    }
  }

  /** Somebody's request for a migration. */
  void begin(Guest guest, String host) {
    Move move = new Move();
    move.id = moves.size() + 10;
    move.guest = guest;
    move.source = guest.host;
    move.destination = host;
    moves.add(move);
    guest.status = "MIGRATING";
    mostUnderWay =
        Math.max(
            mostUnderWay,
            (int) moves.stream().filter(each -> each.status.equals("queued")).count());
  }

  private void migrations(HttpExchange exchange, Map<String, String> query) throws IOException {
    ObjectNode all = JSON.createObjectNode();
    ArrayNode list = all.putArray("migrations");
    for (Move move : moves) {
      if (!move.guest.id.equals(query.get("instance_uuid"))) {
        continue;
      }
      if (move.status.equals("queued") && ++move.looks >= looksUntilDone) {
        end(move);
      }
      if (move.status.equals("queued") && move.looks < looksUntilListed) {
        continue;
      }
      list.addObject()
          .put("id", move.id)
          .put("status", move.status)
          .put("source_compute", move.source)
          .put("dest_compute", move.destination);
    }
    answer(exchange, 200, all.toString());
  }

  /** Nova's status of a server is ACTIVE again either way. */
  private void end(Move move) {
    move.guest.status = "ACTIVE";
    String reason = failing.get(move.guest.name);
    if (reason != null) {
      move.status = "failed";
      move.guest.details = reason;
    } else {
      move.status = "completed";
      if (!lies) {
        move.guest.host = move.destination;
      }
    }
  }

  private static Map<String, String> query(HttpExchange exchange) {
    Map<String, String> found = new TreeMap<>();
    String query = exchange.getRequestURI().getRawQuery();
    for (String each : query == null ? new String[0] : query.split("&", -1)) {
      String[] pair = each.split("=", 2);
      if (found.put(pair[0], URLDecoder.decode(pair[1], StandardCharsets.UTF_8)) != null) {
        throw new IllegalArgumentException(pair[0] + " is there twice: " + query);
      }
    }
    return found;
  }

  private static void answer(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    exchange.getResponseBody().write(bytes);
  }
}
