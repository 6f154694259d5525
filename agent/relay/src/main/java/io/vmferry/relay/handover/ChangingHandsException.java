// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.api.ProblemException;

/**
 * A volume has no owner at this moment, or another one than just said: most likely a takeover is
 * under way somewhere, and another look finds its end. The cause is the problem to report if it
 * does not.
 */
final class ChangingHandsException extends RuntimeException {
  private static final long serialVersionUID = 1;

  ChangingHandsException(ProblemException problem) {
    super(problem.getMessage(), problem);
  }
}
