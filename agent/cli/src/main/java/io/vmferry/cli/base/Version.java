// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.base;

/** The version of the program. */
public final class Version {
  private Version() {}

  /** What the jar's manifest names, or "unpackaged" outside of the jar. */
  public static String text() {
    String version = Version.class.getPackage().getImplementationVersion();
    return version == null ? "unpackaged" : version;
  }
}
