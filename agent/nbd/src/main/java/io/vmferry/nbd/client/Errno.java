// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import io.vmferry.nbd.NbdError;

/** Errors that servers send, for people. */
final class Errno {

  private Errno() {}

  static String name(int code) {
    for (NbdError error : NbdError.values()) {
      if (error.code() == code) {
        return error.name();
      }
    }
    return "error " + Integer.toUnsignedString(code);
  }
}
