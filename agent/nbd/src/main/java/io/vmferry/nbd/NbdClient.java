// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/**
 * Who is at the other end of the Unix socket.
 *
 * @param id number of the connection, unique while the process lives; for log lines
 * @param pid process at the other end (SO_PEERCRED), 0 if unknown (another pid namespace)
 * @param uid its user, -1 if unknown
 */
public record NbdClient(long id, int pid, int uid) {

  /** As it begins a log line. */
  @Override
  public String toString() {
    return "NBD client %d (pid %d, uid %d)".formatted(id, pid, uid);
  }
}
