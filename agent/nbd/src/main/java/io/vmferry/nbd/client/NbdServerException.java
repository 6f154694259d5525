// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.client;

import java.io.IOException;

/** A server refused, or answered what it must not; the message is for people. */
public final class NbdServerException extends IOException {
  private static final long serialVersionUID = 1;

  NbdServerException(String message) {
    super(message);
  }
}
