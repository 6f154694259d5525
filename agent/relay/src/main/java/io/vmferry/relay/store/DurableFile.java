// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.store;

import static java.nio.charset.StandardCharsets.US_ASCII;

import io.vmferry.api.Epoch;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;

/**
 * A small file that is always replaced as a whole: after a crash it is the old one or the new one,
 * and once {@link #write} has returned, the new one. One line of text, then the payload:
 *
 * <pre>VMFERRY kind version=1 uuid=UUID epoch=NUMBER@OWNER length=BYTES crc32c=HEX</pre>
 *
 * <p>The checksum covers the line up to the blank before {@code crc32c} and the payload.
 *
 * <p>Blocks; for I/O threads, one call at a time. After a failed force the object is poisoned: it
 * can't be known which of the two files a power loss would leave.
 */
public final class DurableFile {

  /** What the file holds. The payload array belongs to whoever read or made it. */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Content(UUID uuid, Epoch epoch, byte[] payload) {
    public Content {
      Objects.requireNonNull(uuid);
      Objects.requireNonNull(payload);
      if (epoch.number() < 0 || !OWNER.matcher(epoch.owner()).matches()) {
        throw new IllegalArgumentException(
            "Epoch "
                + epoch
                + " can't be stored: the owner must be 1 to 255 visible ASCII"
                + " characters and the number not negative");
      }
    }
  }

  private static final Pattern OWNER = Pattern.compile("[!-~]{1,255}");
  private static final Pattern KIND = Pattern.compile("[a-z-]{1,32}");
  private static final Pattern LINE =
      Pattern.compile(
          "(VMFERRY (?<kind>[a-z-]{1,32}) version=(?<version>[0-9]{1,9})"
              + " uuid=(?<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
              + " epoch=(?<number>[0-9]{1,18})@(?<owner>[!-~]{1,255})"
              + " length=(?<length>[0-9]{1,10})) crc32c=(?<crc>[0-9a-f]{8})");

  /** Longest possible first line in bytes, with its line feed; the longest valid one is shorter. */
  private static final int MAX_LINE_BYTES = 512;

  private static final int VERSION = 1;

  private final FileOps ops;
  private final Path path;
  private final Path temporary;
  private final String kind;
  private final int maxPayloadBytes;
  private IOException poison;

  /**
   * Does nothing to the file yet.
   *
   * @param kind what the payload is, for example {@code volume}: 1 to 32 of a-z and -
   * @param maxPayloadBytes the most a sound file can hold; longer ones are neither written nor read
   */
  public DurableFile(FileOps ops, Path path, String kind, int maxPayloadBytes) {
    if (!KIND.matcher(kind).matches()) {
      throw new IllegalArgumentException("Not a kind of file: " + kind);
    }
    this.ops = ops;
    this.path = path;
    this.temporary = path.resolveSibling(path.getFileName() + ".tmp");
    this.kind = kind;
    this.maxPayloadBytes = maxPayloadBytes;
  }

  public Path path() {
    return path;
  }

  /**
   * The content, or empty if there is no such file. What it returns is durable: the file of a
   * process that was killed between rename and directory force is forced here. Removes what an
   * interrupted write left behind.
   *
   * @throws BrokenFileException if the file is there but not sound
   */
  public Optional<Content> read() throws IOException {
    checkPoison();
    ops.delete(temporary);
    byte[] file;
    try {
      file = ops.read(path, (long) MAX_LINE_BYTES + maxPayloadBytes);
    } catch (NoSuchFileException e) {
      return Optional.empty();
    }
    Content content = parse(file);
    forceDirectory();
    return Optional.of(content);
  }

  /**
   * Replaces the file; durable when it returns. After an exception the old or the new content is in
   * force; if no force failed, writing again is allowed.
   */
  public void write(Content content) throws IOException {
    checkPoison();
    if (content.payload().length > maxPayloadBytes) {
      throw new IllegalArgumentException(
          path + " may hold " + maxPayloadBytes + " bytes, not " + content.payload().length);
    }
    try (FileOps.Output out = ops.create(temporary)) {
      out.write(ByteBuffer.wrap(firstLine(content)));
      out.write(ByteBuffer.wrap(content.payload()));
      try {
        out.force();
      } catch (IOException e) {
        throw poisoned(e);
      }
    }
    ops.rename(temporary, path);
    forceDirectory();
  }

  /** Removes the file; durable when it returns. */
  public void delete() throws IOException {
    checkPoison();
    ops.delete(temporary);
    ops.delete(path);
    forceDirectory();
  }

  /** Whether a force failed, after which every call fails. */
  boolean isPoisoned() {
    return poison != null;
  }

  private void forceDirectory() throws IOException {
    try {
      ops.forceDirectory(path.toAbsolutePath().getParent());
    } catch (IOException e) {
      throw poisoned(e);
    }
  }

  private IOException poisoned(IOException cause) {
    poison =
        new IOException(
            path
                + " could not be made durable; the volume stops here. Check the disk ("
                + cause.getMessage()
                + "), then restart the relay.",
            cause);
    return poison;
  }

  private void checkPoison() throws IOException {
    if (poison != null) {
      throw new IOException(poison.getMessage(), poison);
    }
  }

  private byte[] firstLine(Content content) {
    String checked =
        "VMFERRY "
            + kind
            + " version="
            + VERSION
            + " uuid="
            + content.uuid()
            + " epoch="
            + content.epoch()
            + " length="
            + content.payload().length;
    return (checked + " crc32c=" + crc(checked, ByteBuffer.wrap(content.payload())) + "\n")
        .getBytes(US_ASCII);
  }

  private static String crc(String line, ByteBuffer payload) {
    CRC32C crc = new CRC32C();
    crc.update(line.getBytes(US_ASCII));
    crc.update(payload);
    return String.format("%08x", crc.getValue());
  }

  private Content parse(byte[] file) throws BrokenFileException {
    int end = 0;
    while (end < file.length && end < MAX_LINE_BYTES && file[end] != '\n') {
      end++;
    }
    // ASCII decoding turns any byte above 127 into a character that the pattern refuses.
    Matcher line = LINE.matcher(new String(file, 0, end, US_ASCII));
    if (end == file.length || file[end] != '\n' || !line.matches()) {
      throw new BrokenFileException(path, "its first line is not one that vmferry wrote");
    }
    int start = end + 1;
    if (Integer.parseInt(line.group("version")) != VERSION) {
      throw new BrokenFileException(
          path, "it has version " + line.group("version") + " and this release reads version 1");
    }
    if (!line.group("kind").equals(kind)) {
      throw new BrokenFileException(
          path, "it is a file of kind " + line.group("kind") + " where " + kind + " must be");
    }
    if (Long.parseLong(line.group("length")) != file.length - start) {
      throw new BrokenFileException(
          path,
          "it holds "
              + (file.length - start)
              + " bytes where its first line says "
              + line.group("length"));
    }
    ByteBuffer payload = ByteBuffer.wrap(file, start, file.length - start);
    if (!crc(line.group(1), payload.duplicate()).equals(line.group("crc"))) {
      throw new BrokenFileException(path, "its checksum is wrong");
    }
    byte[] bytes = new byte[payload.remaining()];
    payload.get(bytes);
    return new Content(
        UUID.fromString(line.group("uuid")),
        new Epoch(Long.parseLong(line.group("number")), line.group("owner")),
        bytes);
  }
}
