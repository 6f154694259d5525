// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.migration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.vmferry.api.Timeline;
import io.vmferry.api.TimelineEvent;
import io.vmferry.api.VolumeState;
import io.vmferry.config.Config;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Which copies go, and when. */
final class RetirementTest {
  private static final Instant NOON = Instant.parse("2026-11-21T12:00:00Z");
  private static final Optional<Duration> AT_ONCE = Optional.of(Duration.ZERO);
  private static final Optional<Duration> AN_HOUR = Optional.of(Duration.ofHours(1));
  private static final Optional<Duration> FOREVER = Optional.empty();
  private static final Optional<Integer> ALL = Optional.empty();

  private final VirtualScheduler scheduler = new VirtualScheduler();
  private final FakeRelay relay = new FakeRelay();
  private final Timeline timeline = new Timeline("hostb", Clock.systemUTC());
  private Instant now = NOON;
  private List<DomainInfo> domains = List.of();

  private Retirement retirement(Optional<Duration> keepFor, Optional<Integer> keepCopies) {
    return new Retirement(
        scheduler, relay, timeline, new Config.Retention(keepFor, keepCopies), () -> now);
  }

  private void reconcile(Retirement retirement) {
    retirement.reconcile(domains, relay.status().join());
    scheduler.settle();
  }

  private void copy(String name, Instant completeSince) {
    relay.completeSince = completeSince;
    relay.put(name, VolumeState.RELEASED, null, 0, "hosta", null);
  }

  @Test
  void atOnceIsAtOnce() {
    copy("vol", NOON);
    reconcile(retirement(AT_ONCE, ALL));

    assertThat(relay.deleted).containsExactly("vol");
    assertThat(timeline.after(0))
        .extracting(TimelineEvent::kind, TimelineEvent::detail)
        .containsExactly(tuple("retire", "deleted here: complete at hosta"));
  }

  @Test
  void atOnceDoesNotWaitForAClockThatWasSetBack() {
    copy("vol", NOON.plusSeconds(3600));
    reconcile(retirement(AT_ONCE, ALL));

    assertThat(relay.deleted).containsExactly("vol");
  }

  @Test
  void staysForItsTimeAndNotLonger() {
    Retirement retirement = retirement(AN_HOUR, ALL);
    copy("vol", NOON);
    now = NOON.plusSeconds(3599);
    reconcile(retirement);
    assertThat(relay.deleted).isEmpty();

    now = NOON.plusSeconds(3600);
    reconcile(retirement);
    assertThat(relay.deleted).containsExactly("vol");
  }

  @Test
  void aTimeThatIsNotKnownIsLongAgo() {
    copy("vol", null);
    reconcile(retirement(AN_HOUR, ALL));

    assertThat(relay.deleted).containsExactly("vol");
  }

  @Test
  void foreverIsForever() {
    copy("vol", Instant.EPOCH);
    reconcile(retirement(FOREVER, ALL));

    assertThat(relay.deleted).isEmpty();
  }

  @Test
  void theOldestGoWhenThereAreTooMany() {
    copy("second", NOON.plusSeconds(2));
    copy("first", NOON.plusSeconds(1));
    copy("third", NOON.plusSeconds(3));
    copy("unknown", null);
    reconcile(retirement(FOREVER, Optional.of(2)));

    assertThat(relay.deleted).containsExactly("first", "unknown");
    assertThat(relay.volumes).containsOnlyKeys("second", "third");
  }

  @Test
  void noCopiesMeansNone() {
    copy("vol", NOON);
    reconcile(retirement(FOREVER, Optional.of(0)));

    assertThat(relay.deleted).containsExactly("vol");
  }

  @Test
  void whatIsNeededIsNotCounted() {
    domains =
        List.of(
            new DomainInfo(
                CoordinatorFixture.VM,
                "vm",
                false,
                DomainState.SHUT_OFF,
                List.of(),
                List.of("defined"),
                null));
    copy("defined", NOON.plusSeconds(2));
    copy("free", NOON.plusSeconds(1));
    reconcile(retirement(FOREVER, Optional.of(1)));

    assertThat(relay.deleted).isEmpty();
  }

  @Test
  void keepsWhatTheOwnerStillReads() {
    relay.put("vol", VolumeState.RELEASED, null, 0, null, null);
    reconcile(retirement(AT_ONCE, ALL));

    assertThat(relay.deleted).isEmpty();
  }

  @Test
  void keepsWhatAClientHasOpen() {
    relay.put("vol", VolumeState.RELEASED, null, 1, "hosta", null);
    reconcile(retirement(AT_ONCE, ALL));

    assertThat(relay.deleted).isEmpty();
  }

  @Test
  void keepsWhatIsOnItsWayBack() {
    relay.put("vol", VolumeState.STANDBY, null, 0, "hosta", null);
    reconcile(retirement(AT_ONCE, ALL));

    assertThat(relay.deleted).isEmpty();
  }

  @Test
  void keepsWhatADomainDefinedHereUses() {
    domains =
        List.of(
            new DomainInfo(
                CoordinatorFixture.VM,
                "vm",
                false,
                DomainState.SHUT_OFF,
                List.of(),
                List.of("vol"),
                null));
    copy("vol", NOON);
    reconcile(retirement(AT_ONCE, ALL));

    assertThat(relay.deleted).isEmpty();
  }

  @Test
  void triesAgain() {
    Retirement retirement = retirement(AT_ONCE, ALL);
    copy("vol", NOON);
    relay.deleteProblem = "in use";
    reconcile(retirement);
    assertThat(relay.deleted).isEmpty();
    relay.deleteProblem = null;

    reconcile(retirement);

    assertThat(relay.deleted).containsExactly("vol");
  }
}
