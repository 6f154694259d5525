// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeLocation;
import io.vmferry.api.VolumeState;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class OpenStackTest extends CliFixture {
  private static final long GIB = 1L << 30;

  private FakeCloud cloud;

  @BeforeEach
  void startCloud() throws IOException {
    cloud = new FakeCloud();
    environment.put("OS_AUTH_URL", cloud.url() + "/identity");
    environment.put("OS_USERNAME", "admin");
    environment.put("OS_PASSWORD", FakeCloud.PASSWORD);
    environment.put("OS_PROJECT_NAME", "ops");
    startRelay();
  }

  @AfterEach
  void stopCloud() {
    cloud.close();
  }

  private void volume(String id, String owner, String origin, long missing) {
    node.locations.put(
        "volume-" + id,
        new VolumeLocation(
            "volume-" + id,
            FakeNode.UUID_1,
            2 * GIB,
            origin == null ? VolumeState.SERVING : VolumeState.FETCHING,
            owner,
            owner.equals("host-a"),
            origin,
            missing,
            1,
            GIB,
            "x"));
  }

  private long requestsToMigrate() {
    return cloud.calls.stream().filter(call -> call.endsWith("/action")).count();
  }

  private static void assertNoSecret(Outcome outcome) {
    assertThat(outcome.out() + outcome.err()).doesNotContain(FakeCloud.PASSWORD, "token-");
  }

  // ---- login

  @Test
  void aWrongPasswordIsNamedWithoutIt() {
    environment.put("OS_PASSWORD", "guessed-it");
    Outcome outcome = run("openstack", "list");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .contains("Keystone refuses the login of admin@ops at " + cloud.url())
        .doesNotContain("guessed-it");
  }

  @Test
  void aCloudThatIsDownIsNamed() {
    cloud.close();
    Outcome outcome = run("openstack", "list");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("can't log in as admin@ops").contains("no answer from");
    assertNoSecret(outcome);
  }

  @Test
  void aMissingVariableIsNamed() {
    environment.remove("OS_PROJECT_NAME");
    assertThat(run("openstack", "list").err())
        .contains("the environment has no variable OS_PROJECT_NAME; or name a cloud");
  }

  @Test
  void aTokenThatExpiresIsRenewed() {
    cloud.tokenLife = 1;
    cloud.add("vm1", "host-a");
    Outcome outcome = run("openstack", "migrate", "vm1", "--to", "host-b", "--wait");
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.exit()).isZero();
    assertNoSecret(outcome);
  }

  private void useApplicationCredential(String key, String value) {
    environment.remove("OS_PASSWORD");
    environment.put("OS_APPLICATION_CREDENTIAL_" + key, value);
    environment.put("OS_APPLICATION_CREDENTIAL_SECRET", FakeCloud.PASSWORD);
    cloud.add("vm1", "host-a");
  }

  @Test
  void anApplicationCredentialLogsInAndDoesSoAgain() {
    useApplicationCredential("ID", FakeCloud.CREDENTIAL);
    cloud.tokenLife = 1;
    Outcome outcome = run("openstack", "migrate", "vm1", "--to", "host-b", "--wait");
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.exit()).isZero();
    assertNoSecret(outcome);
  }

  @Test
  void anApplicationCredentialMayBeNamedWithItsUser() {
    useApplicationCredential("NAME", "of-admin");
    assertThat(run("openstack", "list").out()).contains("vm1");
  }

  @Test
  void aWrongApplicationCredentialIsNamedWithoutItsSecret() {
    useApplicationCredential("ID", "other");
    Outcome outcome = run("openstack", "list");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .contains("Keystone refuses the login of application credential other at " + cloud.url())
        .contains("; check its secret, and whether it has expired");
    assertNoSecret(outcome);
  }

  @Test
  void cloudsYamlWithItsSecretsApart() throws IOException {
    String password = environment.remove("OS_PASSWORD");
    Files.writeString(
        directory.resolve("clouds.yaml"),
        """
        clouds:
          lab:
            auth: {auth_url: %s/identity/v3/, username: admin, project_name: ops}
            region_name: one
            interface: public
        """
            .formatted(cloud.url()));
    Files.writeString(
        directory.resolve("secure.yaml"), "clouds: {lab: {auth: {password: " + password + "}}}");
    environment.put("OS_CLIENT_CONFIG_FILE", directory.resolve("clouds.yaml").toString());
    cloud.add("vm1", "host-a");
    assertThat(run("openstack", "list", "--os-cloud", "lab").out()).contains("vm1");
    assertThat(run("openstack", "list", "--os-cloud", "other").err())
        .contains("there is no cloud other in ");
  }

  @Test
  void brokenYamlIsNotQuoted() throws IOException {
    Files.writeString(
        directory.resolve("clouds.yaml"),
        "clouds:\n  lab: {password: " + FakeCloud.PASSWORD + "\n");
    environment.put("OS_CLIENT_CONFIG_FILE", directory.resolve("clouds.yaml").toString());
    Outcome outcome = run("openstack", "list", "--os-cloud", "lab");
    assertThat(outcome.err()).contains("is no valid YAML (line ");
    assertNoSecret(outcome);
  }

  // ---- list

  @Test
  void listsServersAndWhereTheirBlocksAre() {
    cloud.add("vm1", "host-b", "1", "2");
    cloud.add("vm2", "host-a", "other-backends");
    cloud.add("vm3", "host-a");
    volume("1", "host-b", "host-a", GIB / 2);
    volume("2", "host-b", null, 0);
    Outcome outcome = run("openstack", "list");
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.out().lines().map(line -> line.replaceAll(" +", " ").strip()))
        .containsExactly(
            "SERVER STATUS HOST VOLUME OWNER STILL AT",
            "vm1 ACTIVE host-b volume-1 host-b host-a: 0.5 GiB of 2.0 GiB",
            "vm1 ACTIVE host-b volume-2 host-b -",
            "vm2 ACTIVE host-a volume-other-backends not vmferry's -",
            "vm3 ACTIVE host-a - - -");
  }

  @Test
  void aCloudOfManyServersIsReadInPages() {
    for (int i = 0; i < 1001; i++) {
      cloud.add("vm" + i, "host-a");
    }
    assertThat(run("openstack", "list").out().lines()).hasSize(1002);
  }

  // ---- migrate

  @Test
  void aMigrationIsWaitedFor() {
    cloud.add("vm1", "host-a");
    Outcome outcome = run("openstack", "migrate", "vm1", "--to", "host-b", "--wait");
    assertThat(outcome.out()).isEqualTo("vm1 runs on host-b; its disk follows\n");
    assertThat(outcome.exit()).isZero();
    assertThat(pauses).isNotEmpty();
  }

  @Test
  void withoutWaitItIsOnlyBegun() {
    cloud.add("vm1", "host-a");
    Outcome outcome = run("openstack", "migrate", "id-of-vm1", "--to", "host-b");
    assertThat(outcome.out()).isEqualTo("Nova is migrating vm1 to host-b\n");
    assertThat(requestsToMigrate()).isEqualTo(1);
    assertThat(pauses).isEmpty();
  }

  @Test
  void aFailureIsNoSuccessThoughTheServerIsActive() {
    cloud.add("vm1", "host-a");
    cloud.failing.put("vm1", "Volume v could not be attached. Reason: vmferry: host-b is full");
    Outcome outcome = run("openstack", "migrate", "vm1", "--to", "host-b", "--wait");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .isEqualTo(
            "vmferry: server vm1 was not migrated to host-b (failed): vmferry: host-b is full\n");
  }

  @Test
  void anOldNovaThatKeepsNoReasonsIsNotQuoted() {
    cloud.add("vm1", "host-a");
    cloud.failing.put("vm1", "Volume v could not be attached. Reason: vmferry: host-b is full");
    cloud.old = true;
    Outcome outcome = run("openstack", "migrate", "vm1", "--to", "host-b", "--wait");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .isEqualTo(
            "vmferry: server vm1 was not migrated to host-b (failed); 'openstack server event list'"
                + " may say why\n");
  }

  @Test
  void anOlderSuccessIsNotTakenForThisOne() {
    FakeCloud.Guest guest = cloud.add("vm1", "host-b");
    cloud.looksUntilDone = 1;
    assertThat(run("openstack", "migrate", "vm1", "--to", "host-a", "--wait").exit()).isZero();
    cloud.failing.put("vm1", "nova.exception.NoValidHost: none");
    cloud.looksUntilListed = 3;
    cloud.looksUntilDone = 5;
    Outcome outcome = run("openstack", "migrate", "vm1", "--to", "host-b", "--wait");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("nova.exception.NoValidHost: none");
    assertThat(guest.host).isEqualTo("host-a");
  }

  @Test
  void completedWithoutHavingMovedIsAFailure() {
    cloud.add("vm1", "host-a");
    cloud.lies = true;
    Outcome outcome = run("openstack", "migrate", "vm1", "--to", "host-b", "--wait");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("it is still on host-a");
  }

  @Test
  void aRefusalIsInNovasWords() {
    cloud.add("vm1", "host-a");
    cloud.refusal = "Cannot 'os-migrateLive' instance while it is in vm_state stopped";
    Outcome outcome = run("openstack", "migrate", "vm1", "--to", "host-b", "--wait");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("server vm1 is not migrated: Nova says: " + cloud.refusal);
  }

  @Test
  void serversThatCanNotBeMeantAreNamed() {
    cloud.add("vm1", "host-a");
    cloud.add("vm2", "host-a").name = "vm1";
    assertThat(run("openstack", "migrate", "vm1", "--to", "host-b").err())
        .contains("2 servers are named vm1; give the UUID");
    assertThat(run("openstack", "migrate", "vm9", "--to", "host-b").err())
        .contains("there is no server vm9");
    assertThat(requestsToMigrate()).isZero();
  }

  @Test
  void aServerThatIsThereStays() {
    cloud.add("vm1", "host-b");
    assertThat(run("openstack", "migrate", "vm1", "--to", "host-b", "--wait").out())
        .isEqualTo("vm1 is on host-b already\n");
    assertThat(requestsToMigrate()).isZero();
  }

  // ---- drain

  @Test
  void aHostIsEmptiedAndItsLastBlockWaitedFor() {
    for (String name : List.of("vm1", "vm2", "vm3", "vm4", "vm5")) {
      cloud.add(name, "host-a", name);
      volume(name, "host-b", null, 0);
    }
    cloud.add("elsewhere", "host-b", "6");
    volume("6", "host-b", null, 0);
    volume("vm5", "host-b", "host-a", GIB);
    pause =
        millis -> {
          pauses.add(millis);
          if (cloud.guests.values().stream().noneMatch(guest -> "host-a".equals(guest.host))
              && pauses.size() > 20) {
            volume("vm5", "host-b", null, 0);
          }
        };
    Outcome outcome =
        run("openstack", "drain", "host-a", "--to", "host-b,host-c", "--parallel", "2");
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out())
        .contains("vm1 -> host-b", "vm2 -> host-c", "vm5 runs on ")
        .contains("1 volumes still need host-a, 1.0 GiB to copy")
        .endsWith("Volumes that no server uses stay on it\n");
    assertThat(pauses.size()).isGreaterThan(20);
    assertThat(cloud.mostUnderWay).isEqualTo(2);
    assertThat(cloud.guests.values()).noneMatch(guest -> "host-a".equals(guest.host));
    assertThat(requestsToMigrate()).isEqualTo(5);
  }

  @Test
  void aFailureStopsTheDrainAndIsReported() {
    for (String name : List.of("vm1", "vm2", "vm3")) {
      cloud.add(name, "host-a");
    }
    cloud.failing.put("vm1", "nova.exception.X: vmferry: node host-b is full");
    Outcome outcome = run("openstack", "drain", "host-a", "--to", "host-b");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .contains("server vm1 was not migrated to host-b (failed): vmferry: node host-b is full")
        .contains("server vm2 was not begun", "server vm3 was not begun")
        .contains("host-a is not empty; mend what is named above");
    assertThat(outcome.out()).doesNotContain("switched off");
    assertThat(requestsToMigrate()).isEqualTo(1);
  }

  @Test
  void begunAgainItGoesOnWithWhatIsLeft() {
    cloud.add("vm1", "host-a");
    FakeCloud.Guest moving = cloud.add("vm2", "host-a");
    cloud.begin(moving, "host-c");
    cloud.looksUntilDone = 4;
    Outcome outcome = run("openstack", "drain", "host-a", "--to", "host-b");
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out()).contains("vm2 is on its way already", "vm2 runs on host-c");
    assertThat(requestsToMigrate()).as("only vm1's").isEqualTo(1);
  }

  @Test
  void aServerThatIsShutOffIsNoReasonToWaitForEver() {
    cloud.add("vm1", "host-a").status = "SHUTOFF";
    Outcome outcome = run("openstack", "drain", "host-a", "--to", "host-b");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("server vm1 is SHUTOFF and can't be migrated live");
  }

  @Test
  void whatIsNotKnownMayBeNeeded() {
    cloud.add("vm1", "host-b", "1");
    volume("1", "host-b", null, 0);
    node.locationProblem = "no answer from host-b";
    pause =
        millis -> {
          pauses.add(millis);
          node.locationProblem = null;
        };
    Outcome outcome = run("openstack", "drain", "host-a", "--to", "host-b");
    assertThat(outcome.out()).contains("where volume-1 is, is not known: no answer from host-b");
    assertThat(outcome.out()).contains("can be switched off");
    assertThat(pauses).hasSize(1);
  }

  @Test
  void theHostsOwnNameIsNeeded() {
    Outcome outcome = run("openstack", "drain", "compute-7", "--to", "host-b");
    assertThat(outcome.err()).contains("compute-7 is no node that vmferry on host-a knows");
    assertThat(run("openstack", "drain", "compute-7", "--to", "host-b", "--node", "host-a").exit())
        .isZero();
    assertThat(run("openstack", "drain", "host-a", "--to", "host-b,host-a").exit()).isEqualTo(2);
    assertThat(run("openstack", "drain", "host-a", "--to", "host-b", "--parallel", "0").exit())
        .isEqualTo(2);
  }
}
