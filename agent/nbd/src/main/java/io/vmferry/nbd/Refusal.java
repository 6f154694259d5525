// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/** Why a request isn't executed, and what the client is told. */
enum Refusal {
  UNKNOWN_COMMAND(NbdError.EINVAL, "this server doesn't know the command"),
  BAD_FLAGS(NbdError.EINVAL, "a flag is unknown, not negotiated or not for this command"),
  READ_ONLY(NbdError.EPERM, "the export is read-only"),
  ZERO_LENGTH(NbdError.EINVAL, "the length is zero"),
  TOO_LONG(NbdError.EINVAL, "the length is above the advertised maximum"),
  PAST_END(NbdError.EINVAL, "the range ends behind the export"),
  NO_SPACE(NbdError.ENOSPC, "the range ends behind the export"),
  FLUSH_WITH_RANGE(NbdError.EINVAL, "FLUSH covers the whole export; offset and length must be 0"),
  NO_CONTEXT(NbdError.EINVAL, "no metadata context was negotiated for this export"),
  STOPPING(NbdError.ESHUTDOWN, "the server is stopping");

  private final NbdError error;
  private final String text;

  Refusal(NbdError error, String text) {
    this.error = error;
    this.text = text;
  }

  NbdError error() {
    return error;
  }

  String text() {
    return text;
  }
}
