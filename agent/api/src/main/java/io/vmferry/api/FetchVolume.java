// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * {@code POST /v1/fetched-volumes} on relay.sock: a new volume whose content comes from a plain NBD
 * server. It is served at once.
 *
 * @param name 1 to 128 characters of {@code A-Z a-z 0-9 . _ -}, not starting with a dot or dash
 * @param from URI of the export: nbd://, nbds:// or nbd+unix://
 * @param tlsCa absolute path of a file on the relay's node, with the certificates of the
 *     authorities that the server's certificate may be from; null for those of the system
 */
public record FetchVolume(String name, String from, String tlsCa) {}
