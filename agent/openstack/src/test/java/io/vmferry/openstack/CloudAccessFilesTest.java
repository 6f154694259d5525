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
                "ann",
                "geheim",
                "Default",
                "ops",
                "Default",
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
                "ann",
                "geheim",
                "people",
                "ops",
                "other",
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
    assertThat(access.username()).isEqualTo("bob");
    assertThat(access.password()).isEqualTo("y");
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
    environment.put("OS_AUTH_TYPE", "v3applicationcredential");
    assertThatThrownBy(() -> find(null))
        .hasMessage(
            "the environment wants to log in by v3applicationcredential; only user and password are"
                + " supported");
  }
}
