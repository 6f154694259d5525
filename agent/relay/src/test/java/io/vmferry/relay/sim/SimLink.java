// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.sim;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.relay.peer.LinkDownException;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.PeerService;
import io.vmferry.relay.peer.RoundTrip;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.random.RandomGenerator;

/** One node's way to another, over the simulated WAN. */
public final class SimLink implements PeerLink {
  private static final long HOP_NANOS = 10_000_000;
  private static final int JITTER_NANOS = 2_000_000;

  /**
   * How long after the loss of its connection a request for data may still be carried out: it came
   * out of a buffer. Those on CONTROL are fenced.
   */
  private static final int LATE_NANOS = 2_000_000_000;

  /** One in so many requests arrives twice. */
  private static final int ONE_IN_TWICE = 10;

  private final SimNode from;
  private final SimNode to;
  private final VirtualTime time;
  private final RandomGenerator random;
  private final List<Runnable> listeners = new ArrayList<>();
  private final List<Call> calls = new ArrayList<>();
  private boolean connected;

  public SimLink(SimNode from, SimNode to, VirtualTime time, RandomGenerator random) {
    this.from = from;
    this.to = to;
    this.time = time;
    this.random = random;
  }

  /** The wire is intact and both processes live: connect, or lose what was connected. */
  public void update(boolean wireUp) {
    boolean can = wireUp && to.isAlive() && from.isAlive();
    if (can && !connected) {
      connected = true;
      listeners.forEach(from.loop()::execute);
    } else if (!can && connected) {
      connected = false;
      List<Call> lost = List.copyOf(calls);
      calls.clear();
      lost.forEach(call -> call.lose("the link was cut"));
    }
  }

  /** The calling process died: nobody waits for answers any more. */
  void forget() {
    connected = false;
    calls.clear();
    listeners.clear();
  }

  void dropListeners() {
    listeners.clear();
  }

  @Override
  public String node() {
    return to.name();
  }

  @Override
  public String address() {
    return to.name() + ":7820";
  }

  @Override
  public boolean up() {
    return connected;
  }

  @Override
  public RoundTrip roundTrip() {
    return connected ? new RoundTrip(2 * HOP_NANOS, 2 * HOP_NANOS) : RoundTrip.UNKNOWN;
  }

  @Override
  public String problem() {
    return connected ? null : "cut";
  }

  @Override
  public void onUp(Executor executor, Runnable listener) {
    listeners.add(listener);
  }

  @Override
  public void call(Role role, Frame request, Executor executor, Answers answers) {
    Call call = new Call(answers);
    if (!connected) {
      call.lose("the link is down");
      return;
    }
    calls.add(call);
    PeerService service = to.service();
    time.at(
        hop(),
        () -> {
          if (calls.contains(call)) {
            service.handle(from.name(), role, request, call);
            if (role == Role.CONTROL && random.nextInt(ONE_IN_TWICE) == 0) {
              // As after a lost answer; nobody listens to the second one.
              service.handle(from.name(), role, request, new Unheard());
            }
          } else if (role != Role.CONTROL) {
            late(service, role, request);
          }
        });
  }

  /** Carried out when nobody listens any more, or never. */
  private void late(PeerService service, Role role, Frame request) {
    if (random.nextBoolean()) {
      time.at(
          random.nextInt(LATE_NANOS),
          () -> {
            if (to.isAlive() && to.service() == service) {
              service.handle(from.name(), role, request, new Unheard());
            }
          });
    }
  }

  private long hop() {
    return HOP_NANOS + random.nextInt(JITTER_NANOS);
  }

  /** The answers to a request that was lost with its connection. */
  private static final class Unheard implements PeerService.Responder {
    @Override
    public void answer(Frame.Builder answer, ByteBuf payload, boolean last) {
      if (payload != null) {
        payload.release();
      }
    }

    @Override
    public long queuedBytes() {
      return 0;
    }

    @Override
    public void whenWritable(Runnable resume) {
      resume.run();
    }
  }

  /** One call and its answers, which stay in order. */
  private final class Call implements PeerService.Responder {
    private final Answers answers;
    private long lastArrival;

    Call(Answers answers) {
      this.answers = answers;
    }

    void lose(String why) {
      from.loop().execute(() -> answers.end(new LinkDownException(to.name(), Role.CONTROL, why)));
    }

    @Override
    public void answer(Frame.Builder answer, ByteBuf payload, boolean last) {
      Frame frame = answer.build();
      ByteBuf data = payload == null ? Unpooled.EMPTY_BUFFER : Unpooled.copiedBuffer(payload);
      if (payload != null) {
        payload.release();
      }
      lastArrival = Math.max(lastArrival, time.nanoTime() + hop());
      time.at(
          lastArrival - time.nanoTime(),
          () -> {
            if (calls.contains(this)) {
              answers.frame(frame, data);
              if (last) {
                calls.remove(this);
                answers.end(null);
              }
            }
          });
    }

    @Override
    public long queuedBytes() {
      return 0;
    }

    @Override
    public void whenWritable(Runnable resume) {
      resume.run();
    }
  }
}
