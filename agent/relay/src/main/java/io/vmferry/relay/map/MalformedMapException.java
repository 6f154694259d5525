// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import java.io.IOException;

/** The encoded form of a map is damaged, of another version, or of another volume's size. */
public final class MalformedMapException extends IOException {
  private static final long serialVersionUID = 1L;

  MalformedMapException(String message) {
    super(message);
  }
}
