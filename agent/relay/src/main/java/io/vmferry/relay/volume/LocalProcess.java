// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

/**
 * A process on this host, told apart from a later one with the same number.
 *
 * @param pid process id
 * @param startTime clock ticks between boot and its start (field 22 of /proc/PID/stat)
 */
public record LocalProcess(int pid, long startTime) {}
