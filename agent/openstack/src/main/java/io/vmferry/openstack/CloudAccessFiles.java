// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Finds out how to log in, as OpenStack's own clients do: a cloud of {@code clouds.yaml} with its
 * {@code secure.yaml}, or the variables {@code OS_*}. Messages never quote what a file contains.
 */
public final class CloudAccessFiles {
  private static final YAMLMapper YAML = new YAMLMapper();

  private static final String APPLICATION_CREDENTIAL = "v3applicationcredential";

  private final Map<String, String> environment;
  private final List<Path> directories;

  /**
   * @param environment variables
   * @param directories where {@code clouds.yaml} may be, the first one wins; see {@link #usual}
   */
  public CloudAccessFiles(Map<String, String> environment, List<Path> directories) {
    this.environment = Map.copyOf(environment);
    this.directories = List.copyOf(directories);
  }

  /** The directories that OpenStack's clients look into. */
  public static List<Path> usual(Map<String, String> environment) {
    List<Path> found = new ArrayList<>();
    found.add(Path.of(""));
    String home = environment.get("HOME");
    if (home != null) {
      found.add(Path.of(home, ".config/openstack"));
    }
    found.add(Path.of("/etc/openstack"));
    return found;
  }

  /**
   * The access to a cloud.
   *
   * @param cloud its name in clouds.yaml; null for the variable OS_CLOUD, else OS_AUTH_URL and its
   *     companions
   */
  public CloudAccess find(String cloud) throws CloudException {
    String name = cloud != null ? cloud : environment.get("OS_CLOUD");
    return name == null ? ofVariables() : ofFiles(name);
  }

  private CloudAccess ofVariables() throws CloudException {
    Source source =
        new Source("the environment", "variable OS_", "; or name a cloud of clouds.yaml") {
          @Override
          String value(String key) {
            return environment.get("OS_" + key.toUpperCase(Locale.ROOT));
          }
        };
    return access(source, environment.get("OS_AUTH_TYPE"));
  }

  private CloudAccess ofFiles(String name) throws CloudException {
    Path file = cloudsFile();
    JsonNode settings = cloud(file, name);
    if (settings.isMissingNode()) {
      throw new CloudException("there is no cloud " + name + " in " + file);
    }
    Path secure = file.resolveSibling("secure.yaml");
    JsonNode secrets = Files.exists(secure) ? cloud(secure, name) : MissingNode.getInstance();
    Source source =
        new Source("cloud " + name + " in " + file, "", "") {
          @Override
          String value(String key) {
            for (JsonNode each : List.of(secrets, settings)) {
              for (JsonNode parent : List.of(each.path("auth"), each)) {
                if (parent.path(key).isValueNode() && !parent.path(key).isNull()) {
                  return parent.path(key).asText();
                }
              }
            }
            return null;
          }
        };
    return access(source, source.value("auth_type"));
  }

  private Path cloudsFile() throws CloudException {
    String named = environment.get("OS_CLIENT_CONFIG_FILE");
    if (named != null) {
      return Path.of(named);
    }
    for (Path directory : directories) {
      Path file = directory.resolve("clouds.yaml");
      if (Files.exists(file)) {
        return file.toAbsolutePath();
      }
    }
    throw new CloudException(
        "there is no clouds.yaml in the current directory, ~/.config/openstack or /etc/openstack");
  }

  private static JsonNode cloud(Path file, String name) throws CloudException {
    try {
      return YAML.readTree(Files.readAllBytes(file)).path("clouds").path(name);
    } catch (JsonProcessingException e) {
      // Its message quotes the file, and with it maybe a password.
      throw new CloudException(
          file + " is no valid YAML (line " + e.getLocation().getLineNr() + ")");
    } catch (IOException e) {
      throw new CloudException("can't read " + file + ": " + e.getMessage(), e);
    }
  }

  private static CloudAccess access(Source source, String type) throws CloudException {
    requireUsualTls(source);
    return new CloudAccess(
        source.need("auth_url"),
        login(source, type == null ? usualType(source) : type),
        source.value("region_name"),
        source.or("interface", "public"),
        source.value("cacert"));
  }

  private static String usualType(Source source) {
    boolean credential =
        source.value("application_credential_id") != null
            || source.value("application_credential_name") != null;
    return credential && source.value("password") == null ? APPLICATION_CREDENTIAL : "password";
  }

  private static Login login(Source source, String type) throws CloudException {
    String domain = source.or("domain_name", "Default");
    String userDomain = source.or("user_domain_name", domain);
    switch (type) {
      case "password", "v3password" -> {
        return new Login.Password(
            source.need("username"),
            source.need("password"),
            userDomain,
            source.need("project_name"),
            source.or("project_domain_name", domain));
      }
      case APPLICATION_CREDENTIAL -> {
        String secret = source.need("application_credential_secret");
        String id = source.value("application_credential_id");
        return id != null
            ? new Login.ApplicationCredential(id, null, null, null, secret)
            : new Login.ApplicationCredential(
                null,
                source.need("application_credential_name"),
                source.need("username"),
                userDomain,
                secret);
      }
      default ->
          throw new CloudException(
              source.where
                  + " wants to log in by "
                  + type
                  + "; only password and "
                  + APPLICATION_CREDENTIAL
                  + " are supported: choose one of them");
    }
  }

  /**
   * What would change how TLS is spoken must not be overlooked, least of all if it is for more
   * safety.
   */
  private static void requireUsualTls(Source source) throws CloudException {
    boolean unchecked =
        "false".equalsIgnoreCase(source.value("verify"))
            || "true".equalsIgnoreCase(source.value("insecure"));
    if (unchecked) {
      throw new CloudException(
          source.where
              + " wants the cloud's certificate not to be checked; it always is: name the file of"
              + " its authority with "
              + source.name("cacert"));
    }
    for (String key : List.of("cert", "key")) {
      if (source.value(key) != null) {
        throw new CloudException(
            source.where
                + " has "
                + source.name(key)
                + ", a certificate of the client's own; that is not supported: use an endpoint that"
                + " asks for none");
      }
    }
  }

  /** Where a login's settings come from. */
  private abstract static class Source {
    private final String where;
    private final String prefix;
    private final String otherwise;

    Source(String where, String prefix, String otherwise) {
      this.where = where;
      this.prefix = prefix;
      this.otherwise = otherwise;
    }

    abstract String value(String key);

    String or(String key, String usual) {
      String value = value(key);
      return value == null ? usual : value;
    }

    String need(String key) throws CloudException {
      String value = value(key);
      if (value == null || value.isEmpty()) {
        throw new CloudException(where + " has no " + name(key) + otherwise);
      }
      return value;
    }

    /** What a setting is called where it comes from. */
    String name(String key) {
      return prefix.isEmpty() ? key : prefix + key.toUpperCase(Locale.ROOT);
    }
  }
}
