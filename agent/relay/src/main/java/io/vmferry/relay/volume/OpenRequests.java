// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import io.vmferry.relay.exec.Loop;
import java.time.Duration;

/**
 * The requests of one volume's guests that are not answered yet, oldest first: a disk that doesn't
 * answer is otherwise invisible. A list through the requests themselves, so that keeping it
 * allocates nothing. Loop only.
 */
final class OpenRequests {
  private final Loop loop;
  private GuestRequest oldest;
  private GuestRequest newest;

  OpenRequests(Loop loop) {
    this.loop = loop;
  }

  void begin(GuestRequest request) {
    request.begun = loop.nanoTime();
    request.older = newest;
    if (newest == null) {
      oldest = request;
    } else {
      newest.newer = request;
    }
    newest = request;
  }

  void end(GuestRequest request) {
    if (request.older == null) {
      oldest = request.newer;
    } else {
      request.older.newer = request.newer;
    }
    if (request.newer == null) {
      newest = request.older;
    } else {
      request.newer.older = request.older;
    }
    request.older = null;
    request.newer = null;
  }

  /** The oldest request if it began longer than {@code age} ago, for people; null otherwise. */
  String olderThan(Duration age) {
    if (oldest == null) {
      return null;
    }
    Duration since = Duration.ofNanos(loop.nanoTime() - oldest.begun);
    return since.compareTo(age) < 0
        ? null
        : oldest + " has not ended for " + since.toSeconds() + " s";
  }
}
