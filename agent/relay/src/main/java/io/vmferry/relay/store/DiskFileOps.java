// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;

/** The real thing: files and directories of the host. */
public final class DiskFileOps implements FileOps {

  @Override
  public byte[] read(Path file, long limit) throws IOException {
    long size = Files.size(file);
    if (size > limit) {
      throw new BrokenFileException(
          file, "it has " + size + " bytes where a sound one has at most " + limit);
    }
    return Files.readAllBytes(file);
  }

  @Override
  public Output create(Path file) throws IOException {
    return new DiskOutput(
        PosixFile.open(
            Libc.INSTANCE, file, PosixFile.O_WRONLY | PosixFile.O_CREAT | PosixFile.O_TRUNC));
  }

  @Override
  public void rename(Path from, Path to) throws IOException {
    Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
  }

  @Override
  public void delete(Path file) throws IOException {
    Files.deleteIfExists(file);
  }

  @Override
  public List<Path> list(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.toList();
    }
  }

  @Override
  public void forceDirectory(Path directory) throws IOException {
    try (PosixFile opened = PosixFile.open(Libc.INSTANCE, directory, PosixFile.O_RDONLY)) {
      opened.fsync();
    }
  }

  private static final class DiskOutput implements Output {

    private final PosixFile file;
    private long length;

    DiskOutput(PosixFile file) {
      this.file = file;
    }

    @Override
    public void write(ByteBuffer bytes) throws IOException {
      int count = bytes.remaining();
      writeAt(length, bytes);
      length += count;
    }

    @Override
    public void overwrite(long offset, ByteBuffer bytes) throws IOException {
      if (offset < 0 || offset + bytes.remaining() > length) {
        throw new IllegalArgumentException(
            "Bytes "
                + offset
                + " to "
                + (offset + bytes.remaining())
                + " are not in a file of "
                + length);
      }
      writeAt(offset, bytes);
    }

    private void writeAt(long offset, ByteBuffer bytes) throws IOException {
      int count = bytes.remaining();
      if (count == 0) {
        return;
      }
      ByteBuffer direct = ByteBuffer.allocateDirect(count).put(bytes).flip();
      file.write(offset, Pointer.nativeValue(Native.getDirectBufferPointer(direct)), count);
    }

    @Override
    public void force() throws IOException {
      file.fdatasync();
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }
}
