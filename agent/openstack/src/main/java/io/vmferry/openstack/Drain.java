// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Empties a host of its servers, some at a time. After a failure nothing new is begun, and what is
 * under way is waited for. Begun again, it goes on with what is still there.
 */
public final class Drain {
  /** Between looks. */
  @FunctionalInterface
  public interface Pause {
    void untilNextLook() throws InterruptedException;
  }

  private final Nova nova;
  private final String host;
  private final int parallel;
  private final Consumer<String> report;
  private final Pause pause;

  /** Servers on their way to each target. */
  private final Map<String, Integer> load = new TreeMap<>();

  private final List<LiveMigration> underWay = new ArrayList<>();
  private final List<String> failures = new ArrayList<>();

  /** Nothing new is begun any more. */
  private boolean moveFailed;

  /**
   * @param targets hosts to move the servers to
   * @param parallel migrations at a time
   * @param report is told what happens, one line each
   */
  public Drain(
      Nova nova,
      String host,
      List<String> targets,
      int parallel,
      Consumer<String> report,
      Pause pause) {
    this.nova = nova;
    this.host = host;
    this.parallel = parallel;
    this.report = report;
    this.pause = pause;
    targets.forEach(target -> load.put(target, 0));
  }

  /**
   * Returns when the host has no server any more, or nothing more can be done; the reasons then.
   */
  public List<String> run() throws CloudException, InterruptedException {
    Deque<Server> waiting = new ArrayDeque<>();
    for (Server server : nova.servers(host)) {
      if (server.isMoving()) {
        underWay.add(LiveMigration.join(nova, server));
        report.accept(server.name() + " is on its way already");
      } else if (server.isRunning()) {
        waiting.add(server);
      } else {
        failures.add(
            "server "
                + server.name()
                + " is "
                + server.status()
                + " and can't be migrated live; start it, or move it with"
                + " 'openstack server migrate'");
      }
    }
    while (!underWay.isEmpty() || (!waiting.isEmpty() && !moveFailed)) {
      while (underWay.size() < parallel && !waiting.isEmpty() && !moveFailed) {
        begin(waiting.remove());
      }
      look();
      if (!underWay.isEmpty()) {
        pause.untilNextLook();
      }
    }
    waiting.forEach(server -> failures.add("server " + server.name() + " was not begun"));
    return failures;
  }

  private void begin(Server server) {
    String target =
        load.entrySet().stream().min(Map.Entry.comparingByValue()).orElseThrow().getKey();
    try {
      underWay.add(LiveMigration.begin(nova, server, target));
      load.merge(target, 1, Integer::sum);
      report.accept(server.name() + " -> " + target);
    } catch (CloudException e) {
      fail(e.getMessage());
    }
  }

  private void look() throws CloudException {
    for (Iterator<LiveMigration> all = underWay.iterator(); all.hasNext(); ) {
      LiveMigration each = all.next();
      switch (each.look()) {
        case RUNNING -> {}
        case DONE -> {
          all.remove();
          leave(each);
          report.accept(each.server().name() + " runs on " + each.target());
        }
        case FAILED -> {
          all.remove();
          leave(each);
          fail(each.failure());
        }
      }
    }
  }

  private void leave(LiveMigration ended) {
    if (ended.target() != null) {
      load.computeIfPresent(ended.target(), (target, servers) -> Math.max(0, servers - 1));
    }
  }

  private void fail(String reason) {
    moveFailed = true;
    failures.add(reason);
    report.accept(reason);
  }
}
