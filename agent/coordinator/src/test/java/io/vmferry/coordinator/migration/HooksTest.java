// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.AttachStandby;
import io.vmferry.api.VolumeState;
import io.vmferry.coordinator.hypervisor.DomainXml;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HooksTest extends CoordinatorFixture {
  private static final String FOREIGN =
      "<domain><name>vm</name><uuid>" + VM + "</uuid><devices/></domain>";

  private final Hooks hooks = new Hooks(SOCKET, coordinator, timeline);

  @BeforeEach
  void startCoordinator() {
    start();
  }

  private Optional<String> call(String operation, String subOperation, String xml) {
    CompletableFuture<Optional<String>> answer =
        hooks.call("vm", operation, subOperation, "-", xml);
    scheduler.settle();
    return answer.getNow(null);
  }

  @ParameterizedTest
  @ValueSource(strings = {"migrate", "prepare", "start"})
  void attachesTheVolumesBeforeTheDomainComes(String operation) {
    assertThat(call(operation, "begin", xml("hosta"))).isEmpty();

    assertThat(relay.attached).containsExactly(new AttachStandby(VM, List.of("vol"), "hosta"));
  }

  @Test
  void namesNoOwnerIfTheMetadataDoesNot() {
    call("migrate", "begin", xml(null));

    assertThat(relay.attached).containsExactly(new AttachStandby(VM, List.of("vol"), null));
  }

  @Test
  void onlyAMigrationCopiesAsTheMetadataWants() {
    String xml =
        xml(null)
            .replace(
                "<devices>",
                "<metadata><m:migration xmlns:m='"
                    + DomainXml.MIGRATION_NAMESPACE
                    + "' pre-copy='full'/></metadata><devices>");
    call("migrate", "begin", xml);
    call("start", "begin", xml);

    assertThat(relay.attached)
        .containsExactly(
            new AttachStandby(VM, List.of("vol"), null, "full"),
            new AttachStandby(VM, List.of("vol"), null));
  }

  @ParameterizedTest
  @ValueSource(strings = {"migrate", "prepare", "start"})
  void refusesWithTheReasonOfTheRelay(String operation) {
    relay.attachProblem = "volume vol: hosta does not answer; check the link";

    assertThat(call(operation, "begin", xml(null)))
        .contains("vmferry: domain vm: volume vol: hosta does not answer; check the link");
  }

  @Test
  void refusesIfTheRelayIsDown() {
    relay.up = false;

    assertThat(call("migrate", "begin", xml(null)))
        .contains("vmferry: domain vm: the relay does not answer");
  }

  @Test
  void refusesIfTheRelayTakesTooLong() {
    relay.attachGate = new CompletableFuture<>();
    Hooks hasty = new Hooks(SOCKET, coordinator, timeline, Duration.ofMillis(10));

    CompletableFuture<Optional<String>> answer =
        hasty.call("vm", "migrate", "begin", "-", xml(null));
    scheduler.settle();

    assertThat(answer.join().orElseThrow()).contains("did not attach its volumes within");
  }

  @ParameterizedTest
  @CsvSource({
    "reconnect, begin",
    "started, begin",
    "stopped, end",
    "release, end",
    "attach, begin",
    "restore, begin",
    "migrate, end",
    "dance, begin"
  })
  void neverRefusesTheOthers(String operation, String subOperation) {
    relay.up = false;

    assertThat(call(operation, subOperation, xml(null))).isEmpty();
    assertThat(relay.attached).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"migrate", "prepare", "start"})
  void passesDomainsWithoutVmferryDisks(String operation) {
    relay.up = false;

    assertThat(call(operation, "begin", FOREIGN)).isEmpty();
    assertThat(timeline.after(0)).isEmpty();
  }

  @Test
  void refusesToAttachForXmlThatCannotBeRead() {
    assertThat(call("migrate", "begin", "<domain").orElseThrow())
        .startsWith("vmferry: domain vm: the domain XML can't be read");
  }

  @Test
  void acceptsXmlThatCannotBeReadOtherwise() {
    assertThat(call("reconnect", "begin", "")).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"stopped", "release"})
  void dropsTheStandbyOfADomainThatStopped(String operation) {
    relay.put("vol", VolumeState.STANDBY, VM);

    call(operation, "end", xml(null));
    scheduler.advance(Standbys.DROP_DELAY);

    assertThat(relay.dropped).containsExactly(VM);
  }

  @Test
  void doesNotAskLibvirtBeforeTheHookIsAnswered() {
    hypervisor.silent = true;

    assertThat(call("stopped", "end", xml(null))).isEmpty();
    assertThat(call("migrate", "begin", xml(null))).isEmpty();
    assertThat(call("start", "begin", xml(null))).isEmpty();
  }

  @Test
  void recordsTheReasonOfARelease() {
    var unused = hooks.call("vm", "release", "end", "migrated", xml(null));

    assertThat(details("hook")).containsExactly("release end migrated");
  }

  @Test
  void onlyAMigrationIsPhaseOne() {
    call("start", "begin", xml(null));
    assertThat(phases()).isEmpty();

    call("migrate", "begin", xml(null));
    assertThat(phases()).containsExactly("1");
    assertThat(coordinator.incoming(VM)).isTrue();
  }

  @Test
  void aRefusedMigrationIsNotPhaseOne() {
    relay.attachProblem = "no";

    call("migrate", "begin", xml(null));

    assertThat(phases()).isEmpty();
    assertThat(coordinator.incoming(VM)).isFalse();
  }
}
