// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.CreateVolume;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.VolumeState;
import io.vmferry.nbd.NbdClient;
import io.vmferry.nbd.NbdExportException;
import io.vmferry.nbd.NbdSession;
import io.vmferry.relay.peer.PeerService;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.sim.SimLink;
import io.vmferry.relay.sim.SimNode;
import io.vmferry.relay.sim.VirtualTime;
import io.vmferry.relay.volume.RecordedReply;
import io.vmferry.relay.volume.Volume;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.BooleanSupplier;

/** Nodes a, b and c with the real decision code, in virtual time, and 20 ms between them. */
final class Nodes {
  static final UUID DOMAIN = new UUID(7, 8);
  static final int SIZE = 8 << 20;

  final VirtualTime time = new VirtualTime();
  private final Random random = new Random(1);
  final SimNode a = new SimNode("a", time, random);
  final SimNode b = new SimNode("b", time, random);
  final SimNode c = new SimNode("c", time, random);
  private final List<Way> ways = new ArrayList<>();

  private record Way(SimNode from, SimNode to, SimLink link) {}

  Nodes() throws IOException {
    for (SimNode from : List.of(a, b, c)) {
      for (SimNode to : List.of(a, b, c)) {
        if (from != to) {
          SimLink link = new SimLink(from, to, time, random);
          from.add(link);
          ways.add(new Way(from, to, link));
        }
      }
    }
    for (SimNode node : List.of(a, b, c)) {
      node.start();
    }
    wire(true);
  }

  void wire(boolean intact) {
    ways.forEach(way -> way.link().update(intact));
  }

  /** Cuts one node off from the others, which still reach each other. */
  void isolate(SimNode node) {
    ways.forEach(way -> way.link().update(way.from() != node && way.to() != node));
  }

  /** One direction only: the one can't ask the other any more. */
  void cut(SimNode from, SimNode to) {
    ways.forEach(way -> way.link().update(way.from() != from || way.to() != to));
  }

  /** The host is gone, until {@link #revive}. */
  void kill(SimNode node) {
    node.kill();
    wire(true);
  }

  void revive(SimNode node) throws IOException {
    node.start();
    wire(true);
  }

  void run(Duration duration) {
    for (long done = 0; done < duration.toMillis(); done += 5) {
      time.run(Duration.ofMillis(5));
    }
  }

  void until(BooleanSupplier condition) {
    for (int i = 0; i < 20_000 && !condition.getAsBoolean(); i++) {
      time.run(Duration.ofMillis(1));
    }
    assertThat(condition.getAsBoolean()).as("within 20 seconds").isTrue();
  }

  <T> T await(CompletableFuture<T> future) {
    until(future::isDone);
    return future.join();
  }

  /** The problem that the future ends with. */
  Problem problem(CompletableFuture<?> future) {
    until(future::isDone);
    try {
      future.join();
    } catch (CompletionException e) {
      return ((ProblemException) e.getCause()).problem();
    }
    throw new AssertionError("no problem");
  }

  Volume create(SimNode node, String name) {
    return create(node, name, SIZE);
  }

  Volume create(SimNode node, String name, int size) {
    await(node.volumes().create(new CreateVolume(name, size)));
    return node.volume(name);
  }

  /** A volume of data, which takes some round trips to copy. */
  Volume createFull(SimNode node, String name) {
    Volume volume = create(node, name);
    fill(node, name);
    return volume;
  }

  static void fill(SimNode node, String name) {
    byte[] data = new byte[SIZE];
    Arrays.fill(data, (byte) 1);
    node.storage().file(name).write(0, Unpooled.wrappedBuffer(data), error -> {});
  }

  Volume attach(SimNode node, String... names) {
    await(node.attacher().attach(new AttachStandby(DOMAIN, List.of(names), null)));
    return node.volume(names[0]);
  }

  static NbdSession open(Volume volume, int pid) {
    try {
      return volume.open(new NbdClient(pid, pid, 0));
    } catch (NbdExportException e) {
      throw new AssertionError(e);
    }
  }

  static RecordedReply write(NbdSession session, long offset, int length, int value) {
    ByteBuf data = Unpooled.buffer();
    for (int i = 0; i < length; i++) {
      data.writeByte(value);
    }
    RecordedReply reply = new RecordedReply();
    session.write(offset, data, false, reply);
    return reply;
  }

  static RecordedReply read(NbdSession session, long offset, int length) {
    RecordedReply reply = new RecordedReply();
    session.read(offset, length, reply);
    return reply;
  }

  static VolumeState state(SimNode node, String name) {
    return node.volume(name).record().state();
  }

  /** Moves the volumes by a first write; their owner has no client. */
  void move(SimNode to, String... names) {
    attach(to, names);
    NbdSession guest = open(to.volume(names[0]), 99);
    RecordedReply reply = write(guest, 0, 4096, 1);
    until(() -> "ok".equals(reply.outcome()));
    guest.closed(true);
  }

  /** What a node answers to a peer's request: all its frames. */
  Answers ask(SimNode node, String peer, Frame.Builder request) {
    Answers answers = new Answers();
    node.service().handle(peer, Role.CONTROL, request.build(), answers);
    until(() -> answers.ended);
    return answers;
  }

  /** Like {@link #ask}, without waiting. */
  Answers begin(SimNode node, String peer, Frame.Builder request) {
    Answers answers = new Answers();
    node.service().handle(peer, Role.CONTROL, request.build(), answers);
    return answers;
  }

  /** Collects answers. */
  static final class Answers implements PeerService.Responder {
    final List<Frame> frames = new ArrayList<>();
    final List<byte[]> payloads = new ArrayList<>();
    boolean ended;
    boolean fenced;

    @Override
    public boolean fenced() {
      return fenced;
    }

    Frame only() {
      assertThat(frames).hasSize(1);
      return frames.get(0);
    }

    @Override
    public void answer(Frame.Builder answer, ByteBuf payload, boolean last) {
      assertThat(ended).as("answered after the end").isFalse();
      frames.add(answer.build());
      byte[] bytes = new byte[payload == null ? 0 : payload.readableBytes()];
      if (payload != null) {
        payload.readBytes(bytes);
        payload.release();
      }
      payloads.add(bytes);
      ended = last;
    }

    @Override
    public long queuedBytes() {
      return 0;
    }

    @Override
    public void whenWritable(Runnable resume) {
      throw new AssertionError("the queue is short");
    }
  }
}
