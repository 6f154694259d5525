// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AgentStatus;
import io.vmferry.api.AgentStatus.DomainStatus;
import io.vmferry.api.RelayStatus.PeerStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.cli.base.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Each test breaks one thing of a healthy node. */
class DoctorTest extends CliFixture {
  private Path pki;
  private Path hook;
  private Path socket;
  private final FakeHost host = new FakeHost();

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
    socket = Files.createFile(directory.resolve("run/nbd.sock")); // looked at by its mode only
    processes = host;
  }

  private void write(String file, String text) throws IOException {
    Path path = directory.resolve("root").resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, text);
  }

  private void addDomain(String policy) {
    host.virsh.add("web", FakeVirsh.disk("web-1", socket.toString(), "vda", policy));
    node.agentStatus =
        new AgentStatus(
            "host-a",
            "1.0",
            true,
            null,
            List.of(
                new DomainStatus("web", FakeNode.UUID_1, "running", List.of("web-1"), 0, null)));
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
            "libvirt",
            "hook",
            "socket",
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
    node.probe = FakeNode.probe(null, 0, 3000, null);
    assertWarns("certificates", "the certificate ends on 2031-11-20");
  }

  @Test
  void aKeyThatEverybodyReadsFails() throws IOException {
    Files.setPosixFilePermissions(
        pki.resolve("host-a.key"), PosixFilePermissions.fromString("rw-r--r--"));
    assertFails("certificates", "everybody on this host can read", "chmod 600");
  }

  @Test
  void aKeyThatTheRelayCantReadFails() {
    String key = pki.resolve("host-a.key").toString();
    host.unreadable.add(key);
    assertFails(
        "certificates",
        "the relay's user vmferry can't read " + key,
        "chown vmferry " + key + " && systemctl restart vmferry-relay");
  }

  @Test
  void whoIsNotRootCantTryAsTheRelaysUser() {
    host.answers.put("runuser", new Processes.Result(1, "", "runuser: may not be used\n"));
    assertThat(doctor().out()).doesNotContain("can't read").contains("ok    certificates");
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
  void aPeerThatIsWellIsShownWithItsDays() {
    assertThat(doctor().out())
        .contains(
            "host-b at 192.0.2.2:7820 is connected, both ways, 20.0 ms;"
                + " its certificate has 300 days");
  }

  @Test
  void aPeerThatLosesLargeMessagesFails() {
    node.probe = FakeNode.probe("a message of 32 KiB did not come through", 0, 0, null);
    assertFails("peer", "32 KiB did not come through", "ping -M do -s 1472 192.0.2.2", "mtu");
  }

  @Test
  void aPeerThatDoesNotReachThisNodeFails() {
    node.probe = FakeNode.probe(null, 0, 300, "connection refused");
    assertFails("peer", "host-b does not reach this node: connection refused", "TCP port 7820");
  }

  @Test
  void aClockThatIsAheadWarns() {
    node.probe = FakeNode.probe(null, 2600, 300, null);
    assertWarns("clock", "that of host-b is 2.6 s ahead", "timedatectl");
  }

  @Test
  void aClockThatIsBehindWarns() {
    node.probe = FakeNode.probe(null, -2001, 300, null);
    assertWarns("clock", "that of host-b is 2.0 s behind");
  }

  @Test
  void aClockThatIsOffByLittleIsFine() {
    node.probe = FakeNode.probe(null, -2000, 300, null);
    assertThat(doctor().out()).doesNotContain("clock");
  }

  @Test
  void aPeersCertificateThatEndsSoonWarns() {
    node.probe = FakeNode.probe(null, 0, 29, null);
    assertWarns(
        "certificates",
        "the certificate of host-b ends on 2026-12-20, in 29 days",
        "vmferry pki issue CA-DIR host-b");
  }

  @Test
  void aPeersCertificateThatHasEndedFails() {
    node.probe = FakeNode.probe(null, 0, -1, null);
    assertFails("certificates", "the certificate of host-b ended on 2026-11-20");
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
  void aHookThatIsNewerThanLibvirtdWarns() {
    host.libvirtd = Instant.parse("2026-01-01T00:00:00Z");
    assertWarns("hook", "was changed after libvirtd.service", "systemctl reload libvirtd.service");
  }

  @Test
  void aHookThatIsNewerThanVirtqemudWarns() {
    host.libvirtd = null;
    host.virtqemud = Instant.parse("2026-01-01T00:00:00Z");
    assertWarns("hook", "systemctl reload virtqemud.service");
  }

  @Test
  void libvirtdThatDoesNotRunYetWillSeeTheHook() {
    host.libvirtd = null;
    assertThat(doctor().out()).contains("ok    hook  ");
  }

  @Test
  void withoutSystemdNobodyKnowsWhetherTheHookWasSeen() {
    host.missing.add("systemctl");
    assertWarns("hook", "whether libvirtd has seen it is not known", "pkill -HUP -x libvirtd");
  }

  @Test
  void aSocketThatQemuMayNotOpenFails() {
    host.answers.put("runuser", new Processes.Result(1, "", ""));
    assertFails(
        "socket", "QEMU's user libvirt-qemu may not open " + socket, "paths.nbd-socket-group");
  }

  @Test
  void onlyRootCanTryTheSocket() {
    host.answers.put(
        "runuser", new Processes.Result(1, "", "runuser: may not be used by non-root users\n"));
    assertWarns("socket", "may not be used by non-root users", "run this as root");
  }

  @Test
  void theUserOfQemuIsTheOneThatLibvirtIsTold() throws IOException {
    write("etc/libvirt/qemu.conf", "#user = \"x\"\nuser = \"kvm-guest\"\n");
    assertThat(doctor().out()).contains("QEMU's user kvm-guest may open it");
    write("etc/libvirt/qemu.conf", "user = \"+0\"\n");
    host.answers.put("runuser", new Processes.Result(1, "", ""));
    assertThat(doctor().out()).contains("QEMU runs as root");
  }

  @Test
  void aHostWithoutAUserForQemuWarns() {
    host.answers.put("id", new Processes.Result(1, "", "id: no such user\n"));
    assertWarns("socket", "which user QEMU runs as is not known");
  }

  private void appArmor(String rule, String local) throws IOException {
    write("sys/module/apparmor/parameters/enabled", "Y\n");
    write("etc/apparmor.d/abstractions/libvirt-qemu", "include if exists <local/…>\n");
    write("etc/apparmor.d/abstractions/libvirt-qemu.d/vmferry", rule);
    write("etc/apparmor.d/local/abstractions/libvirt-qemu", local);
  }

  @Test
  void appArmorWithTheRuleIsFine() throws IOException {
    appArmor("  " + socket + " rw,\n", "include if exists <abstractions/libvirt-qemu.d>\n");
    assertThat(doctor().out()).contains("ok    apparmor      guests may open " + socket);
  }

  @Test
  void appArmorWithARuleForAnotherSocketFails() throws IOException {
    appArmor("  /run/vmferry/nbd.sock rw,\n", "include if exists <abstractions/libvirt-qemu.d>\n");
    assertFails("apparmor", "has no line for " + socket, "add the line `  " + socket + " rw,`");
  }

  @Test
  void appArmorThatDoesNotIncludeTheRuleFails() throws IOException {
    appArmor("  " + socket + " rw,\n", "");
    assertFails("apparmor", "does not include ", "libvirt-qemu.d>' >>");
  }

  @Test
  void selinuxWithTheModuleIsFine() throws IOException {
    write("sys/fs/selinux/enforce", "1");
    assertThat(doctor().out()).contains("ok    selinux       is enforcing");
  }

  @Test
  void selinuxWithoutTheModuleFails() throws IOException {
    write("sys/fs/selinux/enforce", "1");
    host.answers.put("semodule", new Processes.Result(0, "virt\nvmferryx\n", ""));
    assertFails("selinux", "without vmferry's module", "/usr/share/vmferry/selinux/README.md");
  }

  @Test
  void selinuxThatOnlyLogsIsNoMatter() throws IOException {
    write("sys/fs/selinux/enforce", "0");
    host.missing.add("semodule");
    assertThat(doctor().out()).doesNotContain("selinux");
  }

  @Test
  void aDiskThatShowsErrorsToItsGuestWarns() {
    addDomain("error_policy='report'");
    assertWarns("disk", "vda of web has no error_policy='stop'", "virsh edit web");
  }

  @Test
  void aDiskThatStopsIsFine() {
    addDomain(FakeVirsh.STOP);
    assertThat(doctor().out()).doesNotContain("disk  ");
  }

  @Test
  void aDomainThatCantBeReadWarns() {
    addDomain(FakeVirsh.STOP);
    host.virsh.missing = 127;
    assertWarns("disk", "not all domains were looked at", "libvirt-clients");
  }

  @Test
  void saysWhetherLibvirtKnowsReconnect() {
    assertThat(doctor().out()).contains("9.0.0 does not know <reconnect> for NBD");
    host.virsh.version = "9.2.0";
    assertThat(doctor().out()).contains("9.2.0 knows <reconnect> for NBD");
    host.virsh.version = "10.0.0";
    assertThat(doctor().out()).contains("10.0.0 knows <reconnect> for NBD");
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
    host.missing.add("qemu-img");
    assertWarns("qemu-img", "does not start", "qemu-utils");
  }
}
