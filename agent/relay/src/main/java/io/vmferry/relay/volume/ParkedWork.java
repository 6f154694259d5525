// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.function.Consumer;

/**
 * What can't be carried out in the present state of a volume and is looked at again after the next
 * change: guest requests, and whatever else waits for blocks or for the end of a handover. Loop
 * only.
 */
final class ParkedWork {
  private final Queue<GuestRequest> requests = new ArrayDeque<>();
  private final List<Runnable> others = new ArrayList<>();

  void add(GuestRequest request) {
    requests.add(request);
  }

  void addAll(List<GuestRequest> unanswered) {
    requests.addAll(unanswered);
  }

  /** The task looks for itself what is to be done now. */
  void later(Runnable task) {
    others.add(task);
  }

  void later(List<Runnable> tasks) {
    others.addAll(tasks);
  }

  /** Whether a guest waits. */
  boolean hasRequests() {
    return !requests.isEmpty();
  }

  /** Ends the requests whose connection is gone. */
  void dropDead() {
    requests.removeIf(
        request -> {
          boolean dead = !request.alive();
          if (dead) {
            request.drop();
          }
          return dead;
        });
  }

  /** Looks at everything once; what has to wait longer is parked again. */
  void runAgain(Consumer<GuestRequest> gate) {
    List<Runnable> waiting = List.copyOf(others);
    others.clear();
    waiting.forEach(Runnable::run);
    for (int n = requests.size(); n > 0; n--) {
      gate.accept(requests.remove());
    }
  }
}
