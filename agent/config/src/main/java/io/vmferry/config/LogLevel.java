// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

/** From which severity on the log is written. */
public enum LogLevel {
  ERROR,
  WARN,
  INFO,
  DEBUG,
  TRACE
}
