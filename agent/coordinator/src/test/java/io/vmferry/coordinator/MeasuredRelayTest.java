// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.mockito.Mockito.mock;
import static org.mockito.Mockito.when;

import io.vmferry.api.AttachStandby;
import io.vmferry.coordinator.migration.Relay;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class MeasuredRelayTest {
  private static final UUID VM = new UUID(1, 2);

  private final AtomicLong now = new AtomicLong(1);
  private CompletableFuture<Void> answer = new CompletableFuture<>();
  private final Relay asked = mock(Relay.class);
  private final MeasuredRelay relay = new MeasuredRelay(asked, now::get);

  @BeforeEach
  void takeoversAreAnsweredAsTold() {
    when(asked.takeover(VM)).thenAnswer(call -> answer);
  }

  private void pass(Duration time) {
    now.addAndGet(time.toNanos());
  }

  private double seconds() {
    return relay.measured().sumSeconds();
  }

  @Test
  void aTakeoverIsMeasuredFromTheFirstTimeThatItIsAskedFor() {
    var unused = relay.takeover(VM);
    pass(Duration.ofSeconds(1));
    answer.completeExceptionally(new IllegalStateException("held"));
    assertThat(relay.measured().count()).isZero();
    answer = new CompletableFuture<>();
    unused = relay.takeover(VM);
    pass(Duration.ofSeconds(2));
    answer.complete(null);
    assertThat(relay.measured().count()).isEqualTo(1);
    assertThat(seconds()).isEqualTo(3.0);
  }

  @Test
  void theNextMoveBeginsAnew() {
    var unused = relay.takeover(VM);
    pass(Duration.ofHours(1));
    unused = relay.attach(new AttachStandby(VM, List.of("v"), null));
    unused = relay.takeover(VM);
    pass(Duration.ofSeconds(1));
    answer.complete(null);
    assertThat(seconds()).isEqualTo(1.0);
  }

  @Test
  void hooksAreCountedByOperation() {
    HookStats stats = new HookStats();
    stats.answered("migrate", 5, true);
    stats.answered("migrate", 5, false);
    stats.answered("whatever an operator sends", 5, false);
    assertThat(stats.measured())
        .extracting(
            each -> each.operation() + " " + each.durations().count() + " " + each.refused())
        .containsExactly("migrate 2 1", "other 1 0");
  }
}
