// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AttachCheck;
import io.vmferry.api.CheckAttach;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class DomainCheckTest extends CliFixture {
  private final FakeVirsh virsh = new FakeVirsh("qemu:///system");

  @BeforeEach
  void aDomainWithTwoVolumes() throws IOException {
    startRelay();
    processes = virsh;
    virsh.add("web", disk("web-1", "vda", FakeVirsh.STOP), disk("web-2", "vdb", FakeVirsh.STOP));
  }

  private String disk(String volume, String target, String policy) {
    return FakeVirsh.disk(volume, directory.resolve("run/nbd.sock").toString(), target, policy);
  }

  private Outcome check() {
    return run("domain", "check", "web", "--to", "host-b");
  }

  @Test
  void whatWouldWorkIsAllOk() {
    Outcome outcome = check();
    assertThat(outcome)
        .isEqualTo(
            new Outcome(
                0,
                """
                ok    domain        web is running
                ok    disk          vda is volume web-1
                ok    disk          vdb is volume web-2
                ok    host-b        would take web-1, web-2
                """,
                ""));
  }

  @Test
  void theRelayIsAskedWhatTheHookWillAsk() {
    check();
    assertThat(node.checks)
        .containsExactly(
            new CheckAttach("host-b", FakeNode.UUID_1, List.of("web-1", "web-2"), "host-a"));
  }

  @Test
  void whatOneOfTheNodesRefusesIsToldInItsWords() {
    node.attachCheck =
        new AttachCheck(List.of("web-1 is elsewhere"), List.of("no space; make room"));
    Outcome outcome = check();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.out())
        .contains("FAIL  host-a        web-1 is elsewhere\n")
        .contains("FAIL  host-b        no space; make room\n")
        .doesNotContain("would take");
  }

  @Test
  void aDiskThatShowsErrorsToItsGuestWarns() {
    virsh.add("web", disk("web-1", "vda", "error_policy='report'"));
    Outcome outcome = check();
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out())
        .contains("warn  disk          vda of web has no error_policy='stop'\n", "virsh edit web");
  }

  @Test
  void aDiskThatIsNotMovedWarns() {
    virsh.add(
        "web",
        disk("web-1", "vda", FakeVirsh.STOP),
        "<disk device='cdrom'><source file='/x.iso'/><target dev='sda'/></disk>");
    assertThat(check().out()).contains("warn  disk          sda is no vmferry disk\n");
  }

  @Test
  void theMetadataMayChooseAKindOfPreCopyThatThereIs() {
    choosesPreCopy("hot-last");
    assertThat(check().out()).contains("ok    pre-copy      hot-last, as the metadata wants\n");

    choosesPreCopy("much");
    Outcome outcome = check();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.out())
        .contains(
            "FAIL  pre-copy      in the metadata: 'much' is not a kind of pre-copy; allowed: ")
        .contains(
            "virsh metadata web https://vmferry.io/xmlns/migration/1 --live --config --remove");
  }

  private void choosesPreCopy(String mode) {
    virsh.metadata =
        "<m:migration xmlns:m='https://vmferry.io/xmlns/migration/1' pre-copy='" + mode + "'/>";
    virsh.add("web", disk("web-1", "vda", FakeVirsh.STOP));
  }

  @Test
  void aDomainWithoutVolumesFailsAndNobodyIsAsked() {
    virsh.add("web");
    Outcome outcome = check();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.out()).contains("FAIL  disk          web has no disk on ");
    assertThat(node.checks).isEmpty();
  }

  @Test
  void aDomainThatDoesNotRunWarns() {
    virsh.state = "shut off";
    Outcome outcome = check();
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.out())
        .contains("warn  domain        web is shut off\n", "start it on host-b");
  }

  @Test
  void anUnknownDomainIsRefusedInLibvirtsWords() {
    assertThat(run("domain", "check", "db", "--to", "host-b"))
        .isEqualTo(
            new Outcome(
                1,
                "",
                "vmferry: libvirt does not show the domain db: failed to get domain 'db';"
                    + " `virsh list --all` shows what is here\n"));
  }

  @Test
  void withoutVirshItIsNamed() {
    virsh.missing = 127;
    Outcome outcome = check();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("virsh is not installed; apt install libvirt-clients");
  }

  @Test
  void aDeadRelayIsNamed() {
    stopServers();
    Outcome outcome = check();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).startsWith("vmferry: the relay does not answer on ");
  }
}
