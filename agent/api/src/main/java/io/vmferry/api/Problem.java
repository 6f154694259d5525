// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

/**
 * Body of every error answer.
 *
 * @param code for programs
 * @param message for people: names the thing, the reason and the next step
 */
public record Problem(Code code, String message) {

  /** Kinds of problems. */
  public enum Code {
    BAD_REQUEST,
    NOT_FOUND,
    NAME_TAKEN,
    IN_USE,
    OWNER_UNKNOWN,
    OWNER_UNREACHABLE,
    NO_SPACE,
    REFUSED,
    UNAVAILABLE,
    INTERNAL
  }
}
