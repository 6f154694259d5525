// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

/** The cloud could not be asked, or refused. The message is for people. */
public final class CloudException extends Exception {
  private static final long serialVersionUID = 1;

  public CloudException(String message) {
    super(message);
  }

  public CloudException(String message, Throwable cause) {
    super(message, cause);
  }
}
