// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import io.vmferry.cli.base.Version;
import picocli.CommandLine.IVersionProvider;

/** What {@code --version} prints. */
final class VersionProvider implements IVersionProvider {
  @Override
  public String[] getVersion() {
    return new String[] {"vmferry " + Version.text()};
  }
}
