// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

/**
 * What a server said of its export, checked.
 *
 * @param size bytes
 * @param multiConn several connections may be used
 * @param minBlock bytes; every request must begin and end at a multiple of it. A power of two, at
 *     most 65536, that divides the size
 * @param maxPayload most bytes of one read
 * @param structured reads are answered with structured chunks
 * @param allocation id of the context base:allocation; null if it isn't offered
 */
public record ServerExport(
    long size,
    boolean multiConn,
    int minBlock,
    int maxPayload,
    boolean structured,
    Integer allocation) {}
