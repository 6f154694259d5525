// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/**
 * What an export advertises. FLUSH, FUA and CACHE are offered by every export, TRIM and
 * WRITE_ZEROES by every writable one.
 *
 * @param name the export name, at most 4096 bytes of UTF-8
 * @param size bytes; any value from 0 to 2^63-1, odd sizes too
 * @param readOnly writes, trims and zeroes fail with EPERM
 * @param fastZero WRITE_ZEROES with FAST_ZERO either is fast or fails with ENOTSUP at once
 * @param multiConn a FLUSH on one connection covers writes acknowledged on all
 */
public record ExportInfo(
    String name, long size, boolean readOnly, boolean fastZero, boolean multiConn) {}
