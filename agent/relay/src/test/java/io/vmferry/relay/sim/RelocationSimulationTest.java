// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.sim;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.util.ResourceLeakDetector;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.CreateVolume;
import io.vmferry.api.GuestStatus;
import io.vmferry.api.VolumeState;
import io.vmferry.config.PreCopyMode;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.store.ImageHash;
import io.vmferry.relay.volume.Volume;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A guest moves between two relays, again and again, in virtual time, while links are cut and
 * relays are killed. Everything it reads must be what it wrote last; in the end every block must
 * have followed it. The decision code is the real one; a failing seed fails the same way each time.
 */
final class RelocationSimulationTest {
  private static final String VOLUME = "vol";
  private static final int SECTORS = 803;
  private static final PreCopyMode[] MODES = PreCopyMode.values();

  /** Per part. */
  private static final int SEEDS = 50;

  /** Events shown with a failure. */
  private static final int TRACE = 30;

  private static final Duration STEP = Duration.ofMillis(5);

  /** Steps after which something that must happen counts as never happening: 5 virtual minutes. */
  private static final int PATIENCE = 60_000;

  private static ResourceLeakDetector.Level before;

  private final UUID domain = new UUID(1, 2);
  private Random random;
  private VirtualTime time;
  private SimNode a;
  private SimNode b;
  private SimNode c;
  private List<SimNode> nodes;
  private final List<SimLink> links = new ArrayList<>();
  private final Deque<String> trace = new ArrayDeque<>();
  private SimGuest guest;
  private SimNode guestAt;
  private boolean wireUp = true;
  private boolean faults;
  private boolean powerFails;
  private int nextPid = 100;
  private long traceHash;
  private final Figures figures = new Figures();

  /**
   * A killed process releases nothing, so a leak says nothing here, and tracking costs much time.
   */
  @BeforeAll
  static void trackNoLeaks() {
    before = ResourceLeakDetector.getLevel();
    ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.DISABLED);
  }

  @AfterAll
  static void trackLeaksAgain() {
    ResourceLeakDetector.setLevel(before);
  }

  private interface Condition {
    boolean holds();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void everyReadIsRightWhileAGuestMoves(int part) throws Exception {
    runAll((long) part * SEEDS, (part + 1L) * SEEDS);
  }

  /**
   * {@code -Dvmferry.sim.seeds=1000-2000} for a long run, as tests/simulate makes many of: all
   * seeds are tried, and the figures are printed for it.
   */
  @Test
  @EnabledIfSystemProperty(named = "vmferry.sim.seeds", matches = "\\d+-\\d+")
  void theSeedsOfTheCommandLine() {
    String range = System.getProperty("vmferry.sim.seeds");
    String[] bounds = range.split("-", -1);
    List<String> failures = new ArrayList<>();
    for (long seed = Long.parseLong(bounds[0]); seed < Long.parseLong(bounds[1]); seed++) {
      try {
        runAll(seed, seed + 1);
      } catch (Exception | AssertionError e) {
        failures.add(e.getMessage());
      }
    }
    System.out.printf(
        "simulation: seeds=%s operations=%d moves=%d kills=%d power-losses=%d link-cuts=%d"
            + " failed=%d%n",
        range,
        figures.operations,
        figures.moves,
        figures.kills,
        figures.powerLosses,
        figures.linkCuts,
        failures.size());
    assertThat(failures).isEmpty();
  }

  /** What happened in all runs so far. */
  private static final class Figures {
    private long operations;
    private long moves;
    private long kills;
    private long powerLosses;
    private long linkCuts;
  }

  private void runAll(long from, long to) throws Exception {
    for (long seed = from; seed < to; seed++) {
      try {
        run(seed);
      } catch (AssertionError | RuntimeException e) {
        throw new AssertionError(
            "seed " + seed + ": " + e.getMessage() + "\nbefore: " + String.join("; ", trace), e);
      }
    }
  }

  @Test
  void theSameSeedGivesTheSameRun() throws Exception {
    for (int seed = 5; seed < 15; seed++) {
      assertThat(run(seed)).as("seed %s", seed).isEqualTo(run(seed));
    }
  }

  /** Returns a fingerprint of everything that happened, and when. */
  private long run(long seed) throws Exception {
    random = new Random(seed);
    time = new VirtualTime();
    a = new SimNode("a", time, random);
    b = new SimNode("b", time, random);
    c = new SimNode("c", time, random);
    nodes = List.of(a, b, c);
    trace.clear();
    traceHash = seed;
    nextPid = 100;
    links.clear();
    for (SimNode from : nodes) {
      for (SimNode to : nodes) {
        if (from != to) {
          SimLink link = new SimLink(from, to, time, random);
          from.add(link);
          links.add(link);
        }
      }
    }
    for (SimNode node : nodes) {
      node.preCopy(MODES[random.nextInt(MODES.length)]);
    }
    guest = new SimGuest(SECTORS, random);
    guestAt = a;
    wireUp = true;
    faults = false;
    for (SimNode node : nodes) {
      node.start();
    }
    updateLinks();
    CompletableFuture<?> created = a.volumes().create(new CreateVolume(VOLUME, SECTORS * 512L));
    until("created", created::isDone);

    a.guest = GuestStatus.State.ACTIVE;
    until("connected", guest::connected);
    faults = seed % 5 != 0;
    safety();
    faults = false;
    liveness();
    figures.operations += guest.done();
    return ImageHash.mix(traceHash, guest.fingerprint());
  }

  /** Whatever happens, no read is wrong. */
  private void safety() throws Exception {
    guest.fill();
    work(100 + random.nextInt(200));
    for (int move = 0; move <= random.nextInt(3); move++) {
      migrate(another(random.nextInt(3) == 0));
      work(100 + random.nextInt(400));
    }
  }

  /** When nothing fails any more, everything that must happen does, in bounded time. */
  private void liveness() throws Exception {
    repair();
    guest.stop();
    until("all answered", () -> guest.inFlight() == 0);
    until("complete at the guest's node", () -> settled(guestAt));
    boolean[] read = new boolean[1];
    guest.readAll(() -> read[0] = true);
    until("all read", () -> read[0]);
    until("the origin knows", () -> guestAt.volume(VOLUME).record().origin() == null);
    trace("the end");
  }

  /** Where the guest goes next: mostly to and fro, sometimes to the third node. */
  private SimNode another(boolean third) {
    if (third) {
      return guestAt == c ? b : c;
    }
    return guestAt == a ? b : a;
  }

  private void trace(String what) {
    String line = time.nanoTime() / 1_000_000 + " ms " + what;
    traceHash = ImageHash.mix(ImageHash.mix(traceHash, line.hashCode()), guest.fingerprint());
    trace.add(line);
    if (trace.size() > TRACE) {
      trace.remove();
    }
  }

  private static boolean settled(SimNode node) {
    Volume volume = node.volume(VOLUME);
    return volume.record().state() == VolumeState.SERVING;
  }

  /** Lets the guest do some operations, with faults. */
  private void work(long operations) throws Exception {
    long end = guest.done() + operations;
    int steps = 0;
    powerFails = faults;
    while (guest.done() < end) {
      step();
      if (++steps > PATIENCE) {
        throw new AssertionError("never " + operations + " operations more; " + describe());
      }
    }
    powerFails = false;
  }

  private void until(String what, Condition condition) throws Exception {
    int steps = 0;
    while (!condition.holds()) {
      step();
      if (++steps > PATIENCE) {
        throw new AssertionError("never " + what + "; " + describe());
      }
    }
  }

  private String describe() {
    StringBuilder text = new StringBuilder();
    for (SimNode node : nodes) {
      text.append(node.name()).append(node.isAlive() ? ": " : " (dead): ");
      if (node.isAlive() && node.volume(VOLUME) != null) {
        text.append(node.volume(VOLUME).status());
      }
      text.append('\n');
    }
    return text.append(guest).toString();
  }

  private void step() throws Exception {
    if (faults) {
      int dice = random.nextInt(400);
      if (dice < 4) {
        wireUp = !wireUp;
        figures.linkCuts += wireUp ? 0 : 1;
        trace(wireUp ? "link mended" : "link cut");
        updateLinks();
      } else if (dice < 8) {
        kill(nodes.get(random.nextInt(nodes.size())));
      } else if (dice == 8 && powerFails) {
        losePower(nodes.get(random.nextInt(nodes.size())));
      }
    }
    if (random.nextInt(20) == 0 || !faults) {
      repair();
    }
    time.run(STEP);
  }

  private void kill(SimNode node) {
    if (node.isAlive()) {
      trace("relay " + node.name() + " killed");
      figures.kills++;
      node.kill();
      updateLinks();
      if (guestAt == node && guest.connected()) {
        guest.lose();
      }
    }
  }

  /** The guest on that host dies too, and is started again. */
  private void losePower(SimNode node) {
    if (node.isAlive()) {
      trace("host " + node.name() + " lost power");
      figures.powerLosses++;
      node.losePower();
      updateLinks();
      if (guestAt == node) {
        guest.die();
        node.processEnded(nextPid);
        nextPid++;
      }
    }
  }

  private void repair() throws Exception {
    for (SimNode node : nodes) {
      if (!node.isAlive()) {
        trace("relay " + node.name() + " started");
        node.start();
      }
    }
    if (!faults) {
      wireUp = true;
    }
    updateLinks();
    if (!guest.connected() && guestAt.isAlive() && guestAt.volume(VOLUME) != null) {
      guest.connect(guestAt.volume(VOLUME), nextPid);
      guest.fill();
    }
  }

  private void updateLinks() {
    links.forEach(link -> link.update(wireUp));
  }

  /** What libvirt and QEMU do: attach, stop at the source, resume at the destination. */
  private void migrate(SimNode to) throws Exception {
    trace("migrate " + guestAt.name() + " to " + to.name());
    figures.moves++;
    boolean[] attached = new boolean[1];
    int steps = 0;
    while (!attached[0]) {
      if (to.isAlive()) {
        tryAttach(to, attached);
      }
      for (int i = 0; i < 100 && !attached[0]; i++) {
        step();
      }
      assertThat(steps++).as("attempts to attach; %s", describe()).isLessThan(PATIENCE / 100);
    }
    // The memory is copied; a standby may copy, too.
    work(random.nextInt(300));
    guest.stop();
    until("stopped", () -> guest.inFlight() == 0 && guest.connected());
    guest.flush();
    until("flushed", () -> guest.inFlight() == 0 && guest.connected());
    guestAt.guest = GuestStatus.State.STOPPED_FOR_MIGRATION;
    SimNode from = guestAt;
    endSourceLater(from, guest.leave(), nextPid);
    until("destination up", () -> to.isAlive() && to.volume(VOLUME) != null);
    guestAt = to;
    to.guest = GuestStatus.State.ACTIVE;
    nextPid++;
    guest.connect(to.volume(VOLUME), nextPid);
    guest.resume();
  }

  /** QEMU at the source ends some time after the destination has resumed, or before. */
  private void endSourceLater(SimNode from, NbdSession session, int pid) {
    VirtualTime.NodeLoop life = from.loop();
    time.at(
        Duration.ofMillis(random.nextInt(3000)).toNanos(),
        () -> {
          from.processEnded(pid);
          if (from.guest == GuestStatus.State.STOPPED_FOR_MIGRATION) {
            from.guest = GuestStatus.State.NONE;
          }
          if (from.loop() == life) {
            session.closed(true);
          }
        });
  }

  private void tryAttach(SimNode to, boolean[] attached) {
    try {
      var unused =
          to.attacher()
              .attach(new AttachStandby(domain, List.of(VOLUME), guestAt.name()))
              .whenComplete((done, error) -> attached[0] = error == null);
    } catch (RuntimeException e) {
      // A refusal: tried again, as a person would.
      attached[0] = false;
    }
  }
}
