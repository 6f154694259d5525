// SPDX-License-Identifier: Apache-2.0
package io.vmferry.config;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a relay listens. Names are not resolved here.
 *
 * @param host name, IPv4 address, or IPv6 address without brackets
 * @param port 1 to 65535
 */
public record HostPort(String host, int port) {
  /** What {@link #parse} takes, for messages. */
  public static final String SYNTAX = "host:port, such as 192.0.2.7:7820 or [2001:db8::7]:7820";

  private static final int MAX_PORT = 65535;
  private static final Pattern TEXT =
      Pattern.compile("(?:([A-Za-z0-9._-]{1,253})|\\[([0-9A-Fa-f:.]{2,45})]):([0-9]{1,5})");

  public HostPort {
    if (port < 1 || port > MAX_PORT) {
      throw new IllegalArgumentException("port " + port + " is not between 1 and " + MAX_PORT);
    }
  }

  /**
   * Reads an address.
   *
   * @throws IllegalArgumentException with a message that says what is wrong and what is allowed
   */
  public static HostPort parse(String text) {
    Matcher matcher = TEXT.matcher(text);
    if (!matcher.matches()) {
      throw new IllegalArgumentException("'" + text + "' is not an address; allowed: " + SYNTAX);
    }
    String host = matcher.group(1) == null ? matcher.group(2) : matcher.group(1);
    return new HostPort(host, Integer.parseInt(matcher.group(3)));
  }

  /** Read back by {@link #parse}. */
  @Override
  public String toString() {
    return (host.indexOf(':') < 0 ? host : "[" + host + "]") + ":" + port;
  }
}
