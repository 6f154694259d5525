// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

/**
 * One server's move, from the request to its true end: Nova's own record of the migration and the
 * server's host, not the server's status, which is ACTIVE after a failure too.
 */
public final class LiveMigration {
  /** How it ended, or that it hasn't. */
  public enum State {
    RUNNING,
    DONE,
    FAILED
  }

  /** Looks after which a request that Nova has no migration for counts as refused. */
  static final int LOOKS_WITHOUT_MIGRATION = 30;

  private final Nova nova;
  private final Server server;
  private final String target;
  private final long newestBefore;
  private int looksWithoutMigration;
  private String failure;

  private LiveMigration(Nova nova, Server server, String target, long newestBefore) {
    this.nova = nova;
    this.server = server;
    this.target = target;
    this.newestBefore = newestBefore;
  }

  /** Asks for the migration. */
  public static LiveMigration begin(Nova nova, Server server, String target) throws CloudException {
    Migration before = nova.newestMigration(server);
    nova.liveMigrate(server, target);
    return new LiveMigration(nova, server, target, before == null ? 0 : before.id());
  }

  /** Watches a migration that somebody asked for before. */
  public static LiveMigration join(Nova nova, Server server) throws CloudException {
    Migration running = nova.newestMigration(server);
    return new LiveMigration(
        nova,
        server,
        running == null ? null : running.destination(),
        running == null ? 0 : running.id() - 1);
  }

  public Server server() {
    return server;
  }

  /** The host it goes to; null if that isn't known yet. */
  public String target() {
    return target;
  }

  /** Why it failed, one sentence. */
  public String failure() {
    return failure;
  }

  /** Asks Nova how it is going. */
  public State look() throws CloudException {
    Migration migration = nova.newestMigration(server);
    boolean ours = migration != null && migration.id() > newestBefore;
    if (ours && migration.hasSucceeded()) {
      return arrived(migration);
    }
    if (ours && migration.hasFailed()) {
      return failed(migration.status());
    }
    if (!ours && ++looksWithoutMigration >= LOOKS_WITHOUT_MIGRATION) {
      return failed("Nova has begun no migration");
    }
    return State.RUNNING;
  }

  private State arrived(Migration migration) throws CloudException {
    String host = nova.server(server.id()).host();
    if (host != null && host.equals(migration.source())) {
      return failed("Nova says " + migration.status() + ", and it is still on " + host);
    }
    return State.DONE;
  }

  private State failed(String status) throws CloudException {
    String reason = nova.failureReason(server);
    failure =
        "server "
            + server.name()
            + " was not migrated"
            + (target == null ? "" : " to " + target)
            + " ("
            + status
            + ")"
            + (reason == null ? "; 'openstack server event list' may say why" : ": " + reason);
    return State.FAILED;
  }
}
