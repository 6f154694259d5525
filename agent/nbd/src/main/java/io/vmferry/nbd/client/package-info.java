// SPDX-License-Identifier: Apache-2.0
/**
 * A strict NBD client that only reads. What a server answers is checked to the last byte: an answer
 * that isn't exactly what the protocol allows fails, and is never taken for zeroes.
 */
package io.vmferry.nbd.client;
