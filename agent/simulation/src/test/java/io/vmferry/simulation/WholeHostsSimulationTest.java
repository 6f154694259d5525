// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.util.ResourceLeakDetector;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/**
 * A domain moves between two whole hosts while processes, hosts and the link fail at random. What
 * its guests read, who owns its volumes, where it runs and what agents do and say must be right at
 * any time; and when nothing fails any more, all must come to rest. A failing seed fails the same
 * way each time.
 */
final class WholeHostsSimulationTest {
  private static final int SEEDS = 300;

  /** How many runs at a time. */
  private static final int THREADS =
      Integer.getInteger("vmferry.sim.threads", Runtime.getRuntime().availableProcessors());

  private static ResourceLeakDetector.Level before;

  /** A killed process releases nothing, so a leak says nothing here. */
  @BeforeAll
  static void trackNoLeaks() {
    before = ResourceLeakDetector.getLevel();
    ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.DISABLED);
  }

  @AfterAll
  static void trackLeaksAgain() {
    ResourceLeakDetector.setLevel(before);
  }

  @Test
  void nothingIsLostAndNothingGetsStuck() throws Exception {
    List<String> failures = new ArrayList<>();
    runAll(0, SEEDS, failures);
    assertThat(failures).isEmpty();
  }

  @Test
  void theSameSeedGivesTheSameRun() {
    for (long seed = 1; seed < 11; seed++) {
      Run first = new Run(seed);
      Run second = new Run(seed);
      assertThat(first.go()).as("seed %s", seed).isEqualTo(second.go());
      assertThat(first.world().trace()).hasToString(second.world().trace().toString());
    }
  }

  /**
   * {@code -Dvmferry.sim.seeds=1000-2000} for a long run, as tests/simulate makes many of: all
   * seeds are tried, and the figures are printed for it.
   */
  @Test
  @EnabledIfSystemProperty(named = "vmferry.sim.seeds", matches = "\\d+-\\d+")
  void theSeedsOfTheCommandLine() throws Exception {
    String range = System.getProperty("vmferry.sim.seeds");
    String[] bounds = range.split("-", -1);
    List<String> failures = new ArrayList<>();
    Figures figures = runAll(Long.parseLong(bounds[0]), Long.parseLong(bounds[1]), failures);
    System.out.printf("simulation: seeds=%s %s failed=%d%n", range, figures, failures.size());
    assertThat(failures).isEmpty();
  }

  /** Runs are independent of each other. */
  private static Figures runAll(long from, long to, List<String> failures) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(THREADS);
    List<Future<Figures>> runs = new ArrayList<>();
    for (long seed = from; seed < to; seed++) {
      long each = seed;
      runs.add(pool.submit(() -> run(each)));
    }
    pool.shutdown();
    Figures sum = Figures.NONE;
    for (Future<Figures> run : runs) {
      try {
        sum = sum.plus(run.get());
      } catch (ExecutionException e) {
        failures.add(e.getCause().getMessage());
      }
    }
    return sum;
  }

  private static Figures run(long seed) {
    Run run = new Run(seed);
    try {
      run.go();
    } catch (AssertionError | RuntimeException e) {
      throw new AssertionError(
          "seed "
              + seed
              + ": "
              + e.getMessage()
              + "\n"
              + run.figures()
              + "\nbefore:\n"
              + run.world().trace(),
          e);
    }
    return run.figures();
  }
}
