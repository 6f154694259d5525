// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.time.Clock;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** The newest events of one process, for the control API. Thread-safe. */
public final class Timeline {
  /** Enough for some hundred migrations; about 1 MiB. */
  static final int MAX_EVENTS = 4096;

  private final String node;
  private final Clock clock;
  private final Deque<TimelineEvent> events = new ArrayDeque<>();
  private long lastSeq;

  /**
   * An empty timeline.
   *
   * @param clock wall clock, so that two hosts' timelines can be merged
   */
  public Timeline(String node, Clock clock) {
    this.node = node;
    this.clock = clock;
  }

  /** Notes that something happened, now. */
  public synchronized void add(String subject, String kind, String detail) {
    lastSeq++;
    events.addLast(new TimelineEvent(lastSeq, clock.instant(), node, subject, kind, detail));
    if (events.size() > MAX_EVENTS) {
      events.removeFirst();
    }
  }

  /** Events with a number above {@code seq}, oldest first. */
  public synchronized List<TimelineEvent> after(long seq) {
    List<TimelineEvent> newer = new ArrayList<>();
    for (TimelineEvent event : events) {
      if (event.seq() > seq) {
        newer.add(event);
      }
    }
    return newer;
  }
}
