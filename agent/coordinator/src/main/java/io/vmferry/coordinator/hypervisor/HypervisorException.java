// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.hypervisor;

/** The hypervisor could not be asked, or said no. The message is one sentence for people. */
public final class HypervisorException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public HypervisorException(String message) {
    super(message);
  }

  public HypervisorException(String message, Throwable cause) {
    super(message, cause);
  }
}
