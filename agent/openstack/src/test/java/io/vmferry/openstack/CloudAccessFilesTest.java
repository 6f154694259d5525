// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class CloudAccessFilesTest {
  @TempDir Path first;
  @TempDir Path second;

  private final Map<String, String> environment =
      new HashMap<>(
          Map.of(
              "OS_AUTH_URL", "http://keystone",
              "OS_USERNAME", "ann",
              "OS_PASSWORD", "geheim",
              "OS_PROJECT_NAME", "ops"));

  private CloudAccess find(String cloud) throws CloudException {
    return new CloudAccessFiles(environment, List.of(first, second)).find(cloud);
  }

  private static void write(Path directory, String name, String text) throws IOException {
    Files.writeString(directory.resolve(name), text);
  }

  @Test
  void variablesWithTheirDefaults() throws CloudException {
    assertThat(find(null))
        .isEqualTo(
            new CloudAccess(
                "http://keystone",
                new Login.Password("ann", "geheim", "Default", "ops", "Default"),
                null,
                "public",
                null));
    environment.put("OS_USER_DOMAIN_NAME", "people");
    environment.put("OS_DOMAIN_NAME", "other");
    environment.put("OS_REGION_NAME", "two");
    environment.put("OS_INTERFACE", "internal");
    environment.put("OS_CACERT", "/ca.pem");
    assertThat(find(null))
        .isEqualTo(
            new CloudAccess(
                "http://keystone",
                new Login.Password("ann", "geheim", "people", "ops", "other"),
                "two",
                "internal",
                "/ca.pem"));
  }

  @Test
  void thePasswordIsNeverShown() throws CloudException {
    assertThat(find(null)).hasToString("ann@ops at http://keystone");
  }

  @Test
  void theFirstDirectoryWinsAndSecretsComeBeforeSettings() throws Exception {
    write(
        first,
        "clouds.yaml",
        "clouds: {lab: {auth: {auth_url: u, username: bob, password: x, project_name: p}}}");
    write(first, "secure.yaml", "clouds: {lab: {auth: {password: y}}}");
    write(second, "clouds.yaml", "clouds: {lab: {auth: {auth_url: no}}}");
    environment.put("OS_CLOUD", "lab");
    CloudAccess access = find(null);
    assertThat(access.login()).isEqualTo(new Login.Password("bob", "y", "Default", "p", "Default"));
    assertThat(access.authUrl()).isEqualTo("u");
  }

  @Test
  void whatIsMissingIsNamedWithItsPlace() throws Exception {
    write(
        first, "clouds.yaml", "clouds: {lab: {auth: {auth_url: u, username: bob, password: ''}}}");
    assertThatThrownBy(() -> find("lab"))
        .isInstanceOf(CloudException.class)
        .hasMessage("cloud lab in " + first.resolve("clouds.yaml") + " has no password");
    Files.delete(first.resolve("clouds.yaml"));
    assertThatThrownBy(() -> find("lab")).hasMessageContaining("there is no clouds.yaml in");
  }

  @Test
  void otherWaysToLogInAreRefused() {
    environment.put("OS_AUTH_TYPE", "v3oidcpassword");
    assertThatThrownBy(() -> find(null))
        .hasMessage(
            "the environment wants to log in by v3oidcpassword; only password and"
                + " v3applicationcredential are supported: choose one of them");
  }

  @Test
  void anApplicationCredentialByItsId() throws CloudException {
    environment.keySet().removeAll(List.of("OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME"));
    environment.put("OS_APPLICATION_CREDENTIAL_ID", "c1");
    assertThatThrownBy(() -> find(null))
        .hasMessageStartingWith("the environment has no variable OS_APPLICATION_CREDENTIAL_SECRET");
    environment.put("OS_APPLICATION_CREDENTIAL_SECRET", "geheim");
    CloudAccess access = find(null);
    assertThat(access.login())
        .isEqualTo(new Login.ApplicationCredential("c1", null, null, null, "geheim"));
    assertThat(access).hasToString("application credential c1 at http://keystone");
  }

  @Test
  void anApplicationCredentialByItsNameIsOneOfAUser() throws Exception {
    String cloud =
        "clouds: {lab: {auth_type: v3applicationcredential, auth: {auth_url: u,"
            + " application_credential_secret: s, application_credential_name: n%s}}}";
    write(first, "clouds.yaml", cloud.formatted(""));
    assertThatThrownBy(() -> find("lab")).hasMessageEndingWith("has no username");
    write(first, "clouds.yaml", cloud.formatted(", username: bob, user_domain_name: people"));
    CloudAccess access = find("lab");
    assertThat(access.login())
        .isEqualTo(new Login.ApplicationCredential(null, "n", "bob", "people", "s"));
    assertThat(access).hasToString("application credential n of bob at u");
  }

  @Test
  void certificatesAreAlwaysChecked() throws Exception {
    write(
        first,
        "clouds.yaml",
        "clouds: {lab: {verify: false, auth: {auth_url: u, username: a, password: b,"
            + " project_name: p}}}");
    assertThatThrownBy(() -> find("lab"))
        .hasMessage(
            "cloud lab in "
                + first.resolve("clouds.yaml")
                + " wants the cloud's certificate not to be checked; it always is: name the file of"
                + " its authority with cacert");
    environment.put("OS_INSECURE", "True");
    assertThatThrownBy(() -> find(null)).hasMessageContaining("with variable OS_CACERT");
  }

  @Test
  void certificatesOfTheClientAreNotOverlooked() {
    environment.put("OS_CERT", "/me.pem");
    assertThatThrownBy(() -> find(null))
        .hasMessageContaining("the environment has variable OS_CERT, a certificate of the client");
  }
}
