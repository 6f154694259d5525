// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.linecorp.armeria.common.HttpStatus;

/** Which HTTP status carries which problem, and the other way round. */
final class ProblemStatus {
  private ProblemStatus() {}

  static HttpStatus of(Problem.Code code) {
    return switch (code) {
      case BAD_REQUEST -> HttpStatus.BAD_REQUEST;
      case NOT_FOUND -> HttpStatus.NOT_FOUND;
      case NAME_TAKEN, IN_USE, OWNER_UNKNOWN, OWNER_UNREACHABLE, NO_SPACE, REFUSED ->
          HttpStatus.CONFLICT;
      case UNAVAILABLE -> HttpStatus.SERVICE_UNAVAILABLE;
      case INTERNAL -> HttpStatus.INTERNAL_SERVER_ERROR;
    };
  }

  /** The problem meant by a status that the HTTP server itself chose, such as for a wrong path. */
  static Problem.Code codeOf(HttpStatus status) {
    if (status.equals(HttpStatus.NOT_FOUND)) {
      return Problem.Code.NOT_FOUND;
    }
    if (status.isClientError()) {
      return Problem.Code.BAD_REQUEST;
    }
    if (status.equals(HttpStatus.SERVICE_UNAVAILABLE)) {
      return Problem.Code.UNAVAILABLE;
    }
    return Problem.Code.INTERNAL;
  }
}
