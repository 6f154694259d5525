// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.copy.Origin;
import io.vmferry.relay.exec.Loop;
import io.vmferry.relay.peer.wire.Role;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * A standby's reads: answered from the owner, stored nowhere, because the owner's guest still
 * writes. QEMU reads the first sector when it starts; a guest that was just resumed may read before
 * the takeover is made. A lost link makes them wait. Loop only.
 */
final class PassThrough {
  /** Between two attempts when the owner doesn't answer with data. */
  private static final Duration RETRY = Duration.ofMillis(500);

  private final Origin owner;
  private final Loop loop;
  private final Set<Reading> readings = new LinkedHashSet<>();
  private String trouble;

  PassThrough(Origin owner, Loop loop) {
    this.owner = owner;
    this.loop = loop;
  }

  /** Carries out a request that changes nothing and is no FLUSH. */
  void execute(GuestRequest request) {
    if (request.kind == GuestRequest.Kind.STATUS) {
      // What the owner has allocated is unknown here: never claim a hole.
      request.statusReply().extent(request.length, false, false);
      request.succeed();
    } else {
      read(request);
    }
  }

  private void read(GuestRequest request) {
    Reading reading = new Reading(request);
    readings.add(reading);
    reading.next();
  }

  /** The link is back: what waited is asked again. */
  void linkUp() {
    List.copyOf(readings).forEach(Reading::retry);
  }

  /** The volume changed state: returns the requests that had no answer yet. */
  List<GuestRequest> stop() {
    List<GuestRequest> unanswered = new ArrayList<>();
    for (Reading reading : readings) {
      reading.stopped = true;
      if (reading.request.alive()) {
        reading.empty();
      }
      unanswered.add(reading.request);
    }
    readings.clear();
    return unanswered;
  }

  /** What reads wait for, for people; null if nothing. */
  String waitingFor() {
    return readings.isEmpty() ? null : trouble;
  }

  /** One guest read, piece by piece. */
  private final class Reading extends AnswerSink {
    private final GuestRequest request;
    private boolean waiting;
    private boolean stopped;

    Reading(GuestRequest request) {
      super(request.readReply().buffer());
      this.request = request;
    }

    void next() {
      int left = (int) request.length - filled();
      if (left == 0) {
        readings.remove(this);
        request.succeed();
      } else {
        owner.read(
            Role.DEMAND, request.offset + filled(), Math.min(left, Origin.MAX_READ), false, this);
      }
    }

    void retry() {
      if (waiting && !stopped) {
        waiting = false;
        if (request.alive()) {
          next();
        } else {
          readings.remove(this);
          request.drop();
        }
      }
    }

    @Override
    public void end(Exception error) {
      if (stopped) {
        return;
      }
      if (!request.alive()) {
        readings.remove(this);
        request.drop();
      } else if (error == null) {
        next();
      } else {
        trouble = error.getMessage();
        waiting = true;
        loop.after(RETRY, this::retry);
      }
    }

    @Override
    boolean wanted() {
      return !stopped && request.alive();
    }
  }
}
