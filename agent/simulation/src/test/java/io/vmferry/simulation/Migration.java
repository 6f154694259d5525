// SPDX-License-Identifier: Apache-2.0
package io.vmferry.simulation;

import io.vmferry.coordinator.hypervisor.DomainEvent.Kind;
import io.vmferry.coordinator.hypervisor.DomainState;
import java.time.Duration;

/**
 * A migration as a client drives it: begin, prepare, perform, finish, confirm. What becomes of both
 * sides when one of the participants is lost is the table in docs/handover.md, "What libvirt does".
 */
final class Migration {

  /** Where it stands. */
  enum Phase {
    /** The destination's hook, its QEMU, its disks. */
    PREPARE,
    /** Memory is copied, the guest runs. */
    COPY,
    /** The guest is stopped; its requests end, its disks are flushed. */
    DRAIN,
    /** The last of its state is sent. */
    STATE,
    /** The destination is asked to let it run, and has not answered. */
    FINISH,
    /** It runs at the destination, and a part of its memory is still at the source. */
    POSTCOPY,
    /** It runs at the destination; the source is asked to end its QEMU. */
    CONFIRM,
    OVER
  }

  private static final Duration TICK = Duration.ofMillis(7);

  /** After which a connection of libvirt counts as lost: its keepalive. */
  private static final Duration KEEPALIVE = Duration.ofSeconds(30);

  /** After which libvirt ends a QEMU that does not end. */
  private static final Duration TERM_LIMIT = Duration.ofSeconds(15);

  private static final int WAY_NANOS = 20_000_000;
  private static final int ITERATION_NANOS = 400_000_000;

  private final World world;
  private final Host from;
  private final Host to;
  private final LibvirtDomain source;
  private final Qemu sourceQemu;
  private final int fromLife;
  private final int toLife;
  private final boolean daemonIsClient;
  private final boolean postcopy;
  private LibvirtDomain target;
  private Qemu targetQemu;
  private Phase phase = Phase.PREPARE;
  private boolean prepared;
  private String refusal;
  private boolean clientAlive = true;
  private boolean answerLost;
  private boolean resumed;
  private boolean flushed;
  private int iterations;
  private int iteration;
  private long nextAt;
  private long linkUpAt;
  private boolean succeeded;

  Migration(World world, Host from, Host to, LibvirtDomain source) {
    this.world = world;
    this.from = from;
    this.to = to;
    this.source = source;
    this.sourceQemu = source.qemu();
    this.fromLife = from.libvirtd().life();
    this.toLife = to.libvirtd().life();
    this.daemonIsClient = world.random().nextBoolean();
    this.postcopy = world.random().nextInt(5) == 0;
  }

  void start() {
    world.trace().add("migrate " + from + " to " + to + (postcopy ? ", post-copy" : ""));
    source.setJob(this);
    linkUpAt = now();
    if (!to.libvirtd().isAlive() || !world.network().isUp()) {
      end("the destination does not answer");
      return;
    }
    to.libvirtd()
        .prepare(
            source,
            () -> phase != Phase.PREPARE,
            domain -> {
              target = domain;
              targetQemu = domain.qemu();
            },
            problem -> {
              prepared = true;
              refusal = problem;
              if (target != null) {
                targetQemu = target.qemu();
              }
            });
    world.after(TICK, this::tick);
  }

  Phase phase() {
    return phase;
  }

  boolean isOver() {
    return phase == Phase.OVER;
  }

  boolean succeeded() {
    return succeeded;
  }

  Host from() {
    return from;
  }

  Host to() {
    return to;
  }

  Qemu targetQemu() {
    return targetQemu;
  }

  /** Whether libvirt at the destination lets the domain run just now. */
  boolean isFinishing(LibvirtDomain domain) {
    return phase == Phase.FINISH && domain == target;
  }

  /** The program that drives it is killed. */
  void killClient() {
    clientAlive = false;
  }

  /** The answer of the destination to "finish" will be lost. */
  void loseAnswer() {
    answerLost = true;
  }

  private long now() {
    return world.time().nanoTime();
  }

  private void tick() {
    if (isOver()) {
      return;
    }
    if (world.network().isUp()) {
      linkUpAt = now();
    }
    if (participantsLive()) {
      advance();
    }
    if (!isOver()) {
      world.after(TICK, this::tick);
    }
  }

  /** Ends the migration as libvirt does if one of them is gone. */
  private boolean participantsLive() {
    if (phase == Phase.POSTCOPY) {
      return postcopyLives();
    }
    if (!sourceQemu.isAlive()) {
      sourceQemuGone();
    } else if (!from.libvirtd().isAlive(fromLife)) {
      sourceDaemonGone();
    } else if (!clientAlive) {
      clientGone();
    } else if (phase != Phase.CONFIRM && !to.libvirtd().isAlive(toLife)) {
      targetDaemonGone("the destination's libvirtd is gone");
    } else if (targetQemu != null && phase != Phase.CONFIRM && !targetQemu.isAlive()) {
      targetQemuGone();
    } else if (phase != Phase.CONFIRM && now() - linkUpAt > KEEPALIVE.toNanos()) {
      targetDaemonGone("the connection to the destination is lost");
    } else {
      return true;
    }
    return false;
  }

  /** There is no way back: without the one or the other the guest's memory is incomplete. */
  private boolean postcopyLives() {
    if (!sourceQemu.isAlive() || now() - linkUpAt > KEEPALIVE.toNanos()) {
      over("post-copy broke");
      if (targetQemu.isAlive()) {
        to.killQemu(targetQemu);
      }
    } else if (targetQemu.isAlive()) {
      return true;
    }
    if (!isOver()) {
      over("post-copy broke");
    }
    if (sourceQemu.isAlive()) {
      source.setState(DomainState.PAUSED_POSTCOPY_FAILED);
      from.libvirtd().emit(source, Kind.SUSPENDED, 0);
    }
    return false;
  }

  private void advance() {
    boolean up = world.network().isUp();
    switch (phase) {
      case PREPARE -> {
        if (prepared && refusal != null) {
          end("refused: " + refusal);
        } else if (prepared && up) {
          phase = Phase.COPY;
          iterations = 1 + world.random().nextInt(4);
          nextAt = now() + world.random().nextInt(ITERATION_NANOS);
          world.trace().add("memory is copied");
          iteration = 1;
          from.libvirtd().emit(source, Kind.MIGRATION_ITERATION, iteration);
        }
      }
      case COPY -> copy(up);
      case DRAIN -> drain();
      case STATE -> {
        if (up && now() >= nextAt) {
          phase = Phase.FINISH;
          nextAt = now() + world.random().nextInt(WAY_NANOS);
        }
      }
      case FINISH -> finish(up);
      case POSTCOPY -> {
        if (up && now() >= nextAt && from.libvirtd().isAlive()) {
          to.libvirtd().emit(target, Kind.RESUMED_MIGRATED, 0);
          endSource();
        }
      }
      case CONFIRM -> confirm();
      case OVER -> {}
    }
  }

  private void copy(boolean up) {
    if (!up || now() < nextAt) {
      return;
    }
    if (iteration < iterations) {
      iteration++;
      nextAt = now() + world.random().nextInt(ITERATION_NANOS);
      from.libvirtd().emit(source, Kind.MIGRATION_ITERATION, iteration);
      return;
    }
    if (source.state() != DomainState.RUNNING) {
      end("the guest does not run");
      goOn();
      return;
    }
    phase = Phase.DRAIN;
    world.trace().add("guest stopped at " + from);
    sourceQemu.stop();
    source.setState(DomainState.PAUSED_MIGRATION);
    from.libvirtd().emit(source, Kind.SUSPENDED_MIGRATED, 0);
  }

  private void drain() {
    if (sourceQemu.hasFailed()) {
      // QEMU can't flush: it fails the migration and lets the guest go on, into its I/O error.
      end("the source's disks failed");
      goOn();
      resumeSource(Kind.RESUMED);
    } else if (sourceQemu.isIdle() && !flushed) {
      flushed = true;
      sourceQemu.flush();
    } else if (sourceQemu.isIdle()) {
      phase = Phase.STATE;
      nextAt = now() + world.random().nextInt(WAY_NANOS);
    }
  }

  private void finish(boolean up) {
    if (!up || now() < nextAt) {
      return;
    }
    if (!resumed && postcopy) {
      resumed = true;
      world.trace().add("guest resumed at " + to);
      source.setState(DomainState.PAUSED_POSTCOPY);
      from.libvirtd().emit(source, Kind.SUSPENDED_POSTCOPY, 0);
      target.run(Kind.RESUMED_POSTCOPY);
      phase = Phase.POSTCOPY;
      nextAt = now() + world.random().nextInt(4 * ITERATION_NANOS);
    } else if (!resumed) {
      resumed = true;
      world.trace().add("guest resumed at " + to);
      target.run(Kind.RESUMED_MIGRATED);
      nextAt = now() + world.random().nextInt(WAY_NANOS);
      if (answerLost) {
        world.trace().add("the answer of " + to + " is lost");
        nextAt = now() + KEEPALIVE.toNanos();
      }
    } else if (answerLost) {
      cancelAtSource("no answer from the destination");
    } else {
      endSource();
    }
  }

  private void endSource() {
    phase = Phase.CONFIRM;
    nextAt = now() + TERM_LIMIT.toNanos();
    target.define(source.isDefined());
    source.define(world.keepsDefinition() && source.isDefined());
    sourceQemu.sayGoodbye();
  }

  private void confirm() {
    if (sourceQemu.isIdle() || now() > nextAt) {
      succeeded = true;
      boolean orderly = sourceQemu.isIdle();
      sourceQemu.end(orderly);
      from.libvirtd()
          .ended(
              source,
              Kind.STOPPED_MIGRATED,
              () -> from.libvirtd().emit(source, Kind.JOB_COMPLETED, 0));
      over("done");
    }
  }

  // ---- what becomes of both sides when somebody is lost

  /** {@code virsh domjobabort}. */
  void abort() {
    if (phase == Phase.PREPARE || phase == Phase.COPY) {
      end("aborted by the operator");
      goOn();
    }
  }

  private void clientGone() {
    switch (phase) {
      case PREPARE, COPY -> {
        end("the client died");
        goOn();
      }
      case DRAIN, STATE -> {
        // Nobody ends libvirt's pause at the source.
        goOn();
        over("the client died");
        endTarget();
      }
      case FINISH -> {
        goOn();
        over("the client died");
        if (!resumed) {
          endTarget();
        }
      }
      case CONFIRM -> {
        goOn();
        over("the client died");
      }
      case POSTCOPY, OVER -> {}
    }
  }

  private void sourceDaemonGone() {
    switch (phase) {
      case PREPARE, COPY -> end("the source's libvirtd is gone");
      case DRAIN, STATE -> {
        end("the source's libvirtd is gone");
        resumeWhenDaemonIsBack();
      }
      case FINISH -> {
        over("the source's libvirtd is gone");
        if (!resumed && daemonIsClient) {
          endTarget();
        } else if (!resumed && world.network().isUp() && to.libvirtd().isAlive(toLife)) {
          // The client has a connection of its own to the destination.
          resumed = true;
          world.trace().add("guest resumed at " + to);
          target.run(Kind.RESUMED_MIGRATED);
        } else if (!resumed) {
          endTarget();
        }
      }
      case CONFIRM -> over("the source's libvirtd is gone");
      case POSTCOPY, OVER -> {}
    }
  }

  /** A libvirtd that finds a source stopped before all was sent lets it go on. */
  private void resumeWhenDaemonIsBack() {
    if (!sourceQemu.isAlive() || source.state() != DomainState.PAUSED_MIGRATION) {
      return;
    }
    if (from.libvirtd().isAlive()) {
      resumeSource(Kind.RESUMED);
    } else {
      world.after(KEEPALIVE.dividedBy(60), this::resumeWhenDaemonIsBack);
    }
  }

  private void targetDaemonGone(String why) {
    switch (phase) {
      case PREPARE, COPY -> {
        end(why);
        goOn();
      }
      case DRAIN, STATE -> {
        end(why);
        goOn();
        resumeSource(Kind.RESUMED);
      }
      case FINISH -> {
        if (!resumed) {
          endTarget();
        }
        cancelAtSource(why);
      }
      case POSTCOPY, CONFIRM, OVER -> {}
    }
  }

  private void targetQemuGone() {
    switch (phase) {
      case PREPARE, COPY -> {
        end("the destination's QEMU is gone");
        goOn();
      }
      case DRAIN, STATE -> {
        end("the destination's QEMU is gone");
        goOn();
        resumeSource(Kind.RESUMED);
      }
      case FINISH -> cancelAtSource("the destination's QEMU is gone");
      case POSTCOPY, CONFIRM, OVER -> {}
    }
  }

  private void sourceQemuGone() {
    over("the source's QEMU is gone");
    if (!resumed) {
      endTarget();
    }
  }

  /** Finish failed, as far as the client knows: the guest goes on at the source. */
  private void cancelAtSource(String why) {
    over(why);
    goOn();
    resumeSource(Kind.RESUMED_MIGRATED);
  }

  private void resumeSource(Kind event) {
    world.trace().add("libvirt resumes the guest at " + from);
    if (to.qemus().stream().anyMatch(Qemu::isAlive)) {
      world.libvirtRunsBoth();
    }
    source.run(event);
  }

  private void goOn() {
    source.setJob(null);
  }

  private void end(String why) {
    over(why);
    endTarget();
  }

  private void over(String why) {
    phase = Phase.OVER;
    source.setJob(null);
    world.trace().add("migration over: " + why);
  }

  /** The destination's libvirtd ends what the client's connection left behind. */
  private void endTarget() {
    if (target != null && !resumed && targetQemu != null && targetQemu.isAlive()) {
      LibvirtDomain left = target;
      if (to.libvirtd().isAlive(toLife) && left.qemu() == targetQemu) {
        targetQemu.end(true);
        to.libvirtd().ended(left, Kind.STOPPED_FAILED);
      }
    }
  }
}
