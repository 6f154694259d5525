// SPDX-License-Identifier: Apache-2.0
/**
 * Threads and time, injected.
 *
 * <p>Ownership, written down once: everything that decides about a volume runs on the relay's one
 * data loop ({@link io.vmferry.relay.exec.Loop}), which is also the event loop of the NBD
 * connections, so that a request served from the page cache never changes threads. Blocking file
 * operations run on disk threads ({@link io.vmferry.relay.exec.DiskTasks}) and call back on the
 * loop. Peer connections have a loop of their own and hand their frames over. There are no locks.
 */
package io.vmferry.relay.exec;
