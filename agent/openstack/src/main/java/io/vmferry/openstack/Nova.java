// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.openstack4j.api.OSClient.OSClientV3;
import org.openstack4j.api.client.CloudProvider;
import org.openstack4j.api.exceptions.AuthenticationException;
import org.openstack4j.api.exceptions.OS4JException;
import org.openstack4j.api.types.Facing;
import org.openstack4j.api.types.ServiceType;
import org.openstack4j.core.transport.Config;
import org.openstack4j.core.transport.HttpResponse;
import org.openstack4j.model.common.Identifier;
import org.openstack4j.openstack.OSFactory;
import org.openstack4j.openstack.internal.MicroVersion;
import org.openstack4j.openstack.internal.MicroVersionedOpenStackService;
import org.openstack4j.openstack.internal.OSAuthenticator;

/**
 * Nova's API, as far as live migrations need it. OpenStack4j ties a session to the thread that
 * logged in: use it from that one only. Blocks.
 */
public final class Nova {
  /** Nova of Pike and later; with it, {@code block_migration} may be auto. */
  private static final MicroVersion VERSION = new MicroVersion(2, 53);

  /**
   * Nova of Ussuri and later, whose events have the message of an error. Their traceback has none:
   * only lines of source code.
   */
  private static final MicroVersion WITH_DETAILS = new MicroVersion(2, 84);

  private static final int PAGE = 500;
  private static final int HTTP_OK = 200;
  private static final int HTTP_ERROR = 400;
  private static final int HTTP_NOT_FOUND = 404;
  private static final int HTTP_NOT_ACCEPTABLE = 406;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Requests requests = new Requests(VERSION);
  private final Requests requestsWithDetails = new Requests(WITH_DETAILS);

  private Nova() {}

  /** Logs in. */
  public static Nova login(CloudAccess access) throws CloudException {
    try {
      OSClientV3 client = authenticate(access);
      if (access.region() != null) {
        client.useRegion(access.region());
      }
      return new Nova();
    } catch (AuthenticationException e) {
      throw new CloudException(
          "Keystone refuses the login of " + access + "; check " + access.login().suspects());
    } catch (OS4JException e) {
      throw new CloudException("can't log in as " + access + ": " + e.getMessage(), e);
    }
  }

  private static OSClientV3 authenticate(CloudAccess access) throws CloudException {
    Config config = config(access);
    Facing perspective = facing(access.endpointType());
    if (access.login() instanceof Login.ApplicationCredential credential) {
      return (OSClientV3)
          OSAuthenticator.invoke(
              new ApplicationCredentialAuth(credential),
              v3(access.authUrl()),
              perspective,
              config,
              CloudProvider.UNKNOWN);
    }
    Login.Password user = (Login.Password) access.login();
    return OSFactory.builderV3()
        .withConfig(config)
        .endpoint(v3(access.authUrl()))
        .perspective(perspective)
        .credentials(user.username(), user.password(), Identifier.byName(user.userDomain()))
        .scopeToProject(Identifier.byName(user.project()), Identifier.byName(user.projectDomain()))
        .authenticate();
  }

  /** All servers of all projects, or those on one host. */
  public List<Server> servers(String host) throws CloudException {
    List<Server> found = new ArrayList<>();
    String marker = null;
    while (true) {
      Map<String, Object> wanted = new TreeMap<>(Map.of("all_tenants", "1", "limit", PAGE));
      if (host != null) {
        wanted.put("host", host);
      }
      if (marker != null) {
        wanted.put("marker", marker);
      }
      JsonNode page = json("the servers", requests.read("/servers/detail", wanted)).path("servers");
      for (JsonNode each : page) {
        Server server = server(each);
        found.add(server);
        marker = server.id();
      }
      if (page.size() < PAGE) {
        return found;
      }
    }
  }

  /** One server by its UUID, or by its name if only one has it. */
  public Server server(String idOrName) throws CloudException {
    HttpResponse response = requests.read("/servers/" + segment(idOrName), Map.of());
    if (response.getStatus() == HTTP_OK) {
      return server(json("server " + idOrName, response).path("server"));
    }
    if (response.getStatus() != HTTP_NOT_FOUND) {
      throw refused("server " + idOrName + " can't be shown", response);
    }
    List<Server> named =
        servers(null).stream().filter(server -> server.name().equals(idOrName)).toList();
    if (named.size() == 1) {
      return named.get(0);
    }
    throw new CloudException(
        named.isEmpty()
            ? "there is no server " + idOrName
            : named.size() + " servers are named " + idOrName + "; give the UUID");
  }

  /** Asks for a live migration; Nova has taken it on when this returns, no more. */
  public void liveMigrate(Server server, String host) throws CloudException {
    ObjectNode action = JSON.createObjectNode();
    action.putObject("os-migrateLive").put("host", host).put("block_migration", "auto");
    HttpResponse response =
        requests.write("/servers/" + segment(server.id()) + "/action", action.toString());
    if (response.getStatus() >= HTTP_ERROR) {
      throw refused("server " + server.name() + " is not migrated", response);
    }
  }

  /** The newest live migration of a server, or null. */
  public Migration newestMigration(Server server) throws CloudException {
    Map<String, Object> wanted =
        Map.of("instance_uuid", server.id(), "migration_type", "live-migration");
    JsonNode migrations =
        json("the migrations of " + server.name(), requests.read("/os-migrations", wanted))
            .path("migrations");
    Migration newest = null;
    for (JsonNode each : migrations) {
      Migration migration =
          new Migration(
              each.path("id").asLong(),
              each.path("status").asText().toLowerCase(Locale.ROOT),
              text(each, "source_compute"),
              text(each, "dest_compute"));
      if (newest == null || migration.id() > newest.id()) {
        newest = migration;
      }
    }
    return newest;
  }

  /** Why the last live migration of a server failed, one line; null if Nova doesn't say. */
  public String failureReason(Server server) throws CloudException {
    String actions = "/servers/" + segment(server.id()) + "/os-instance-actions";
    JsonNode all = json("its events", requests.read(actions, Map.of()));
    for (JsonNode action : all.path("instanceActions")) {
      if (action.path("action").asText().equals("live-migration")) {
        String path = actions + "/" + segment(action.path("request_id").asText());
        HttpResponse response = requestsWithDetails.read(path, Map.of());
        return response.getStatus() == HTTP_NOT_ACCEPTABLE
            ? null
            : reason(json("its events", response).path("instanceAction").path("events"));
      }
    }
    return null;
  }

  /** Our sentence if there is one, else the first error's message. */
  private static String reason(JsonNode events) {
    String first = null;
    for (JsonNode event : events) {
      String details = text(event, "details");
      if (details == null || details.isBlank()) {
        continue;
      }
      int ours = details.indexOf("vmferry: ");
      if (ours >= 0) {
        return details.substring(ours).strip();
      }
      first = first == null ? details.strip() : first;
    }
    return first;
  }

  private static Server server(JsonNode node) {
    List<String> volumes = new ArrayList<>();
    node.path("os-extended-volumes:volumes_attached")
        .forEach(volume -> volumes.add(volume.path("id").asText()));
    return new Server(
        node.path("id").asText(),
        node.path("name").asText(),
        node.path("status").asText(),
        text(node, "OS-EXT-SRV-ATTR:host"),
        volumes);
  }

  private static String text(JsonNode node, String key) {
    JsonNode value = node.path(key);
    return value.isValueNode() && !value.isNull() ? value.asText() : null;
  }

  private static String segment(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }

  private static JsonNode json(String what, HttpResponse response) throws CloudException {
    if (response.getStatus() != HTTP_OK) {
      throw refused(what + " can't be read", response);
    }
    try {
      return JSON.readTree(((JdkHttpResponse) response).body());
    } catch (IOException e) {
      throw new CloudException(what + ": Nova's answer is no JSON", e);
    }
  }

  private static CloudException refused(String what, HttpResponse response) {
    String reason = response.getStatusMessage();
    try {
      JsonNode body = JSON.readTree(((JdkHttpResponse) response).body());
      if (body.isObject() && body.elements().hasNext()) {
        reason = body.elements().next().path("message").asText(reason);
      }
    } catch (IOException e) {
      // Not Nova's own answer: the status is all there is to say.
    }
    return new CloudException(what + ": Nova says: " + reason);
  }

  private static String v3(String url) {
    String trimmed = url.replaceFirst("/+$", "");
    return trimmed.endsWith("/v3") ? trimmed : trimmed + "/v3";
  }

  private static Facing facing(String endpointType) throws CloudException {
    String name = endpointType.replaceFirst("URL$", "").toUpperCase(Locale.ROOT);
    try {
      return Facing.valueOf(name);
    } catch (IllegalArgumentException e) {
      throw new CloudException(
          "interface " + endpointType + " is none of public, internal and admin", e);
    }
  }

  private static Config config(CloudAccess access) throws CloudException {
    Config config = Config.newConfig();
    if (access.caFile() == null) {
      return config;
    }
    try (InputStream file = Files.newInputStream(Path.of(access.caFile()))) {
      KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
      trusted.load(null, null);
      int number = 0;
      for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(file)) {
        trusted.setCertificateEntry("ca" + number++, each);
      }
      TrustManagerFactory trust =
          TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      trust.init(trusted);
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, trust.getTrustManagers(), null);
      return config.withSSLContext(context);
    } catch (IOException | GeneralSecurityException e) {
      throw new CloudException(
          "can't use the certificates in " + access.caFile() + ": " + e.getMessage(), e);
    }
  }

  /** Requests that OpenStack4j can't express, on its session. */
  private static final class Requests extends MicroVersionedOpenStackService {
    Requests(MicroVersion version) {
      super(ServiceType.COMPUTE, version);
    }

    @Override
    protected String getApiVersionHeader() {
      return "X-OpenStack-Nova-API-Version";
    }

    HttpResponse read(String path, Map<String, ?> parameters) throws CloudException {
      return call(get(Void.class, path).params(parameters)::executeWithResponse);
    }

    HttpResponse write(String path, String json) throws CloudException {
      return call(post(Void.class, path).json(json)::executeWithResponse);
    }

    private static HttpResponse call(Supplier<HttpResponse> request) throws CloudException {
      try {
        return request.get();
      } catch (OS4JException e) {
        throw new CloudException("Nova can't be asked: " + e.getMessage(), e);
      }
    }
  }
}
