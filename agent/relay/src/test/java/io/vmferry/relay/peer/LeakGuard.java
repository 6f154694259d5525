// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.util.ResourceLeakDetector;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Fails the class if one of its buffers was collected without being released. */
final class LeakGuard implements BeforeAllCallback, AfterAllCallback {
  /** Frames of the simulation: a world that a test abandons releases nothing, whoever runs next. */
  private static final String SIMULATION = "io.vmferry.relay.sim.";

  private final List<String> leaks = new CopyOnWriteArrayList<>();

  @Override
  public void beforeAll(ExtensionContext context) {
    assertThat(ResourceLeakDetector.getLevel()).isEqualTo(ResourceLeakDetector.Level.PARANOID);
    ByteBufUtil.setLeakListener(
        (type, records) -> {
          if (!records.contains(SIMULATION)) {
            leaks.add(type + ": " + records);
          }
        });
  }

  @Override
  public void afterAll(ExtensionContext context) {
    // The detector looks at what the collector found when the next buffer is made.
    for (int i = 0; i < 3; i++) {
      System.gc();
      System.runFinalization();
      UnpooledByteBufAllocator.DEFAULT.directBuffer(1).release();
    }
    ByteBufUtil.setLeakListener(null);
    assertThat(leaks).isEmpty();
  }
}
