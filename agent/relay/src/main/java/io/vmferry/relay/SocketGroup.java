// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.UserPrincipalNotFoundException;

/** Lets QEMU's group reach the NBD socket. */
final class SocketGroup {
  private SocketGroup() {}

  static void give(Path socket, String group) throws IOException {
    try {
      GroupPrincipal principal =
          socket.getFileSystem().getUserPrincipalLookupService().lookupPrincipalByGroupName(group);
      Files.getFileAttributeView(socket, PosixFileAttributeView.class).setGroup(principal);
    } catch (UserPrincipalNotFoundException e) {
      throw new IOException(
          "there is no group "
              + group
              + " on this host; correct paths.nbd-socket-group in vmferry.yaml",
          e);
    }
  }
}
