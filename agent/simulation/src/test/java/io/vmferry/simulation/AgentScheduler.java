// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.coordinator.migration.Scheduler;
import io.vmferry.relay.sim.VirtualTime;
import java.time.Duration;

/** The deciding thread of one life of an agent. A decision that throws is an error of the run. */
final class AgentScheduler implements Scheduler {
  private final World world;
  private final VirtualTime.NodeLoop loop;

  AgentScheduler(World world, VirtualTime.NodeLoop loop) {
    this.world = world;
    this.loop = loop;
  }

  @Override
  public void execute(Runnable task) {
    loop.execute(guarded(task));
  }

  @Override
  public long nanoTime() {
    return loop.nanoTime();
  }

  @Override
  public Runnable schedule(Duration delay, Runnable task) {
    return loop.after(delay, guarded(task))::cancel;
  }

  private Runnable guarded(Runnable task) {
    return () -> {
      try {
        task.run();
      } catch (RuntimeException e) {
        throw world.violation("a decision of an agent failed", e);
      }
    };
  }
}
