// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

/** The error numbers of Linux that this package decides by or explains. */
final class Errno {

  static final int EPERM = 1;
  static final int ENOENT = 2;
  static final int EINTR = 4;
  static final int EIO = 5;
  static final int ENXIO = 6;
  static final int EAGAIN = 11;
  static final int EACCES = 13;
  static final int EEXIST = 17;
  static final int EISDIR = 21;
  static final int EINVAL = 22;
  static final int EMFILE = 24;
  static final int EFBIG = 27;
  static final int ENOSPC = 28;
  static final int EROFS = 30;
  static final int ENOSYS = 38;
  static final int EOPNOTSUPP = 95;
  static final int EDQUOT = 122;

  private Errno() {}

  /** The reason and, where there is one, the next step. */
  static String describe(int errno) {
    return switch (errno) {
      case EPERM -> "operation not permitted (EPERM). Check the file's attributes";
      case ENOENT -> "no such file or directory (ENOENT)";
      case EIO -> "input/output error (EIO). Check the disk and the kernel log";
      case EACCES -> "permission denied (EACCES). Check who owns the file and its directory";
      case EEXIST -> "the file exists already (EEXIST)";
      case EISDIR -> "it is a directory (EISDIR)";
      case EINVAL -> "invalid argument (EINVAL)";
      case EMFILE -> "too many open files (EMFILE). Raise LimitNOFILE of the service";
      case EFBIG -> "the file would become too large (EFBIG). Check limits of file system and user";
      case ENOSPC -> "no space left (ENOSPC). Free space or enlarge the file system";
      case EROFS -> "the file system is read-only (EROFS). Check the kernel log for the cause";
      case EOPNOTSUPP -> "not supported by this file system (EOPNOTSUPP)";
      case EDQUOT -> "the quota is used up (EDQUOT). Raise it or free space";
      default -> "error number " + errno;
    };
  }
}
