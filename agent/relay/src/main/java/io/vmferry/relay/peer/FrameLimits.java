// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.vmferry.relay.peer.wire.Role;

/**
 * How large a frame may be on a connection. Checked as soon as the lengths are read, before memory
 * is taken for the frame.
 */
enum FrameLimits {
  /** Until the hello is accepted nobody has proven to be a peer; a hello or a refusal is small. */
  HANDSHAKE(4 * 1024, 0),
  /** A takeover's answer carries the stale maps of all volumes of a domain. */
  CONTROL(1024 * 1024, 64 * 1024 * 1024),
  /** An extent has at most 1 MiB; twice that leaves room for a later, less dense encoding. */
  DATA(1024 * 1024, 2 * 1024 * 1024);

  /** Start of every frame: "VMFY". */
  static final int MAGIC = 0x564d4659;

  /** Bytes of magic, header length and payload length. */
  static final int PREFIX_BYTES = 12;

  /** Most bytes that one Read asks for and one Extent holds: design's largest transfer. */
  static final int MAX_EXTENT_BYTES = 1024 * 1024;

  private final int maxHeaderBytes;
  private final int maxPayloadBytes;

  FrameLimits(int maxHeaderBytes, int maxPayloadBytes) {
    this.maxHeaderBytes = maxHeaderBytes;
    this.maxPayloadBytes = maxPayloadBytes;
  }

  /** Limits of an established connection. */
  static FrameLimits of(Role role) {
    return role == Role.CONTROL ? CONTROL : DATA;
  }

  /**
   * Why these lengths are refused, or null if they are fine.
   *
   * @param headerBytes length of the header, as read from an unsigned field
   * @param payloadBytes length of the payload, as read from an unsigned field
   */
  String problem(long headerBytes, long payloadBytes) {
    if (headerBytes < 1 || headerBytes > maxHeaderBytes) {
      return "header of " + headerBytes + " bytes, allowed are 1 to " + maxHeaderBytes;
    }
    if (payloadBytes > maxPayloadBytes) {
      return "payload of " + payloadBytes + " bytes, allowed are 0 to " + maxPayloadBytes;
    }
    return null;
  }
}
