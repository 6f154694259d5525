// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AgentStatus;
import io.vmferry.api.RelayStatus.PeerStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.cli.base.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Each test breaks one thing of a healthy node. */
class DoctorTest extends CliFixture {
  private Path pki;
  private Path hook;

  @BeforeEach
  void aHealthyNode() throws IOException {
    startRelay();
    startAgent();
    node.peers.add(new PeerStatus("host-b", "192.0.2.2:7820", true, 20.0, null));
    pki = directory.resolve("pki");
    runPlain("pki", "init", pki.toString());
    runPlain("pki", "issue", pki.toString(), "host-a");
    hook = Files.writeString(directory.resolve("hook"), "#!/bin/sh\n");
    Files.setPosixFilePermissions(hook, PosixFilePermissions.fromString("rwxr-xr-x"));
    processes = (command, show) -> new Processes.Result(0, "qemu-img version 7.2\n", "");
  }

  private Outcome doctor() {
    return run("doctor", "--hook", hook.toString());
  }

  private void assertFails(String subject, String... texts) {
    Outcome outcome = doctor();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.out()).contains("FAIL  " + subject).contains(texts);
    assertThat(outcome.out()).contains("why:  ", "mend: ");
  }

  private void assertWarns(String subject, String... texts) {
    Outcome outcome = doctor();
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out()).contains("warn  " + subject).contains(texts);
  }

  @Test
  void aHealthyNodeIsAllOk() {
    Outcome outcome = doctor();
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.out().lines())
        .allMatch(line -> line.startsWith("ok    "))
        .extracting(line -> line.substring(6).split(" ", 2)[0])
        .containsExactly(
            "config",
            "certificates",
            "relay",
            "peer",
            "agent",
            "libvirt",
            "hook",
            "space",
            "qemu-img");
  }

  @Test
  void aWrongConfigurationEndsTheExamination() throws IOException {
    Files.writeString(configFile, "node: a b\n");
    assertFails("config", "'a b' is not a node's name", "edit " + configFile);
  }

  @Test
  void aMissingKeyFails() throws IOException {
    Files.delete(pki.resolve("host-a.key"));
    assertFails("certificates", "host-a.key: no such file", "vmferry pki issue CA-DIR host-a");
  }

  @Test
  void aCertificateOfAnotherNodeFails() throws IOException {
    runPlain("pki", "issue", pki.toString(), "host-b");
    for (String suffix : List.of(".crt", ".key")) {
      Files.move(
          pki.resolve("host-b" + suffix),
          pki.resolve("host-a" + suffix),
          StandardCopyOption.REPLACE_EXISTING);
    }
    assertFails("certificates", "is for 'host-b', but this node is 'host-a'");
  }

  @Test
  void aKeyOfAnotherCertificateFails() throws IOException {
    runPlain("pki", "issue", pki.toString(), "host-b");
    Files.move(
        pki.resolve("host-b.key"), pki.resolve("host-a.key"), StandardCopyOption.REPLACE_EXISTING);
    assertFails("certificates", "host-a.key is not the key of ");
  }

  @Test
  void aCertificateOfAnotherAuthorityFails() throws IOException {
    Files.delete(pki.resolve("ca.crt"));
    Files.delete(pki.resolve("ca.key"));
    runPlain("pki", "init", pki.toString());
    assertFails("certificates", "host-a.crt is not signed by ");
  }

  @Test
  void anExpiredCertificateFails() {
    now = NOW.plus(Duration.ofDays(1826));
    assertFails("certificates", "the certificate ended on 2031-11-20");
  }

  @Test
  void acertificateOfTheFutureFails() {
    now = NOW.minus(Duration.ofDays(1));
    assertFails("certificates", "valid only from 2026-11-21", "clock");
  }

  @Test
  void aCertificateThatEndsSoonWarns() {
    now = NOW.plus(Duration.ofDays(1800));
    assertWarns("certificates", "the certificate ends on 2031-11-20");
  }

  @Test
  void aKeyThatEverybodyReadsFails() throws IOException {
    Files.setPosixFilePermissions(
        pki.resolve("host-a.key"), PosixFilePermissions.fromString("rw-r--r--"));
    assertFails("certificates", "everybody on this host can read", "chmod 600");
  }

  @Test
  void aDeadRelayFails() throws IOException {
    stopServers();
    startAgent();
    assertFails("relay", "the relay does not answer on ", "systemctl start vmferry-relay");
  }

  @Test
  void aRelayWithAnOlderConfigurationWarns() {
    node.node = "host-x";
    assertWarns("relay", "'host-x'", "systemctl restart vmferry-relay");
  }

  @Test
  void aDeadAgentFails() throws IOException {
    stopServers();
    startRelay();
    assertFails("agent", "the agent does not answer on ", "systemctl start vmferry-agent");
  }

  @Test
  void aDeadLibvirtFails() {
    node.agentStatus = new AgentStatus("host-a", "1.0", false, "no such socket", List.of());
    assertFails("libvirt", "qemu:///system is not connected: no such socket");
  }

  @Test
  void aStoppedVolumeFails() {
    node.volumes.put(
        "db", FakeNode.volume("db", 4096, VolumeState.SERVING, 4096, 0, null, null, "bad map"));
    assertFails("volume", "db is stopped: bad map");
  }

  @Test
  void aWaitingVolumeWarns() {
    node.volumes.put("db", FakeNode.fetching("db", 4096, 0, "host-b"));
    assertWarns("volume", "db waits for: host-b");
  }

  @Test
  void aPeerThatIsDownFails() {
    node.peers.set(0, new PeerStatus("host-b", "192.0.2.2:7820", false, null, "refused"));
    assertFails("peer", "host-b at 192.0.2.2:7820: refused");
  }

  @Test
  void aPeerThatIsNotNeededIsFine() {
    node.peers.set(0, new PeerStatus("host-b", "192.0.2.2:7820", false, null, null));
    assertThat(doctor().out())
        .contains("ok    peer          host-b at 192.0.2.2:7820 is not needed");
  }

  @Test
  void noPeersWarns() {
    node.peers.clear();
    assertWarns("peers", "none are configured");
  }

  @Test
  void aMissingHookFails() throws IOException {
    Files.delete(hook);
    assertFails("hook", hook + " does not exist");
  }

  @Test
  void aHookThatIsNotExecutableFails() throws IOException {
    Files.setPosixFilePermissions(hook, PosixFilePermissions.fromString("rw-r--r--"));
    assertFails("hook", "is not executable", "chmod 755");
  }

  @Test
  void aMissingStateDirectoryFails() throws IOException {
    Files.delete(directory.resolve("state"));
    assertFails("space", directory + "/state can't be looked at: no such file");
  }

  @Test
  void volumesThatMayOutgrowTheDiskWarn() {
    node.volumes.put(
        "big", FakeNode.volume("big", 1L << 53, VolumeState.SERVING, 1, 0, null, null, null));
    assertWarns("space", "but the volumes may grow by 8.00 PiB");
  }

  @Test
  void aMissingQemuImgWarns() {
    processes =
        (command, show) -> {
          throw new IOException("error=2");
        };
    assertWarns("qemu-img", "does not start", "qemu-utils");
  }
}
