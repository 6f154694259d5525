// SPDX-License-Identifier: Apache-2.0
/**
 * The NBD server: wire constants, codecs, validation, handshake and transmission.
 *
 * <p>Three rooms, one way:
 *
 * <table>
 *   <caption>Who does what</caption>
 *   <tr><th></th><th>handshake</th><th>transmission</th></tr>
 *   <tr><td>decode</td><td>OptionDecoder</td><td>RequestDecoder</td></tr>
 *   <tr><td>validate</td><td>OptionParser, NbdStrings</td><td>RequestValidator</td></tr>
 *   <tr><td>execute</td><td>HandshakeHandler</td><td>TransmissionHandler</td></tr>
 *   <tr><td>answer</td><td>OptionReplies</td><td>OpenReply, ReplyWriter</td></tr>
 * </table>
 *
 * <p>Wire numbers are in NbdProtocol, limits in NbdLimits. This module knows neither disks nor
 * peers: what a request means is decided behind {@link io.vmferry.nbd.NbdExport} and {@link
 * io.vmferry.nbd.NbdSession}. {@link io.vmferry.nbd.NbdServer} is where a program begins.
 *
 * <p>Rules come from the NBD protocol document ({@code doc/proto.md} of the NBD project).
 */
package io.vmferry.nbd;
