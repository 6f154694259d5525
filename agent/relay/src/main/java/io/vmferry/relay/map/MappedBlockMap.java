// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.TRUNCATE_EXISTING;
import static java.nio.file.StandardOpenOption.WRITE;

import io.vmferry.api.Epoch;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Objects;
import java.util.UUID;

/**
 * A block map in a memory-mapped file, meant for tmpfs: each change is a plain store and survives
 * the death of the process, but not of the host, which the boot id in the header detects.
 *
 * <p>A chunk that never changed is a hole of the file and costs no memory. A chunk's first change
 * allocates its page by a write, so that a full tmpfs is an exception (UncheckedIOException, the
 * chunk unchanged) instead of a SIGBUS.
 */
public final class MappedBlockMap extends ChunkedBlockMap {

  /**
   * What a map belongs to; a file with anything else is refused.
   *
   * @param blocks number of blocks, 0 to 2^32
   */
  public record Identity(UUID volume, Epoch epoch, UUID bootId, long blocks) {
    public Identity {
      Objects.requireNonNull(volume);
      Objects.requireNonNull(bootId);
      int owner = epoch.owner().getBytes(UTF_8).length;
      if (owner > MappedHeader.MAX_OWNER_BYTES) {
        throw new IllegalArgumentException(
            "Owner of " + owner + " bytes; the limit is " + MappedHeader.MAX_OWNER_BYTES);
      }
    }
  }

  private static final ByteBuffer EMPTY_PAGE = ByteBuffer.allocateDirect(CHUNK_BYTES);

  private final Path path;
  private final FileChannel channel;
  private final boolean wasClean;

  /** XOR between a bit of the file and a bit of the map. */
  private final long inversion;

  /** Chunks whose page exists. */
  private final BitSet touched = new BitSet();

  /** The bits; null once closed, so that nothing reaches memory that is gone. */
  private MappedByteBuffer bits;

  private MappedBlockMap(Path path, FileChannel channel, MappedHeader header) throws IOException {
    super(header.identity().blocks());
    this.path = path;
    this.channel = channel;
    this.wasClean = header.clean();
    this.inversion = header.inverted() ? -1L : 0;
    this.bits = channel.map(MapMode.READ_WRITE, MappedHeader.BYTES, (long) chunks() * CHUNK_BYTES);
    bits.order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Creates the file with the blocks of {@code initial}, replacing an existing one; a process that
   * is killed meanwhile leaves the old one.
   */
  public static MappedBlockMap create(Path path, Identity identity, BlockMap initial)
      throws IOException {
    if (initial.blocks() != identity.blocks()) {
      throw new IllegalArgumentException(
          initial.blocks() + " blocks given for a map of " + identity.blocks());
    }
    Path temporary = path.resolveSibling(path.getFileName() + ".tmp");
    boolean inverted = initial.cardinality() > initial.blocks() / 2;
    MappedHeader header = new MappedHeader(identity, inverted, false);
    FileChannel channel = FileChannel.open(temporary, CREATE, TRUNCATE_EXISTING, READ, WRITE);
    try {
      writeFully(channel, header.encode(), 0);
      setLength(channel, fileBytes(identity.blocks()));
      MappedBlockMap map = new MappedBlockMap(path, channel, header);
      try {
        map.load();
        Runs.forEach(
            initial,
            0,
            initial.blocks(),
            !inverted,
            (from, to) -> {
              map.change(from, to, !inverted);
              return true;
            });
        Files.move(temporary, path, ATOMIC_MOVE);
        return map;
      } catch (IOException | RuntimeException e) {
        map.unmap();
        throw e;
      }
    } catch (UncheckedIOException e) {
      channel.close();
      Files.deleteIfExists(temporary);
      throw e.getCause();
    } catch (IOException | RuntimeException e) {
      channel.close();
      Files.deleteIfExists(temporary);
      throw e;
    }
  }

  /**
   * Opens an existing file and marks it dirty.
   *
   * @throws java.nio.file.NoSuchFileException if there is none
   * @throws MapRefusedException if it is damaged or of another volume, epoch, boot or size
   */
  public static MappedBlockMap open(Path path, Identity expected) throws IOException {
    FileChannel channel = FileChannel.open(path, READ, WRITE);
    try {
      ByteBuffer bytes = ByteBuffer.allocate(MappedHeader.BYTES);
      readFully(channel, bytes, 0);
      MappedHeader header = MappedHeader.decode(path, bytes.flip());
      header.check(path, expected);
      long length = fileBytes(expected.blocks());
      if (channel.size() != length) {
        throw new MapRefusedException(
            path, "it has " + channel.size() + " bytes and not " + length);
      }
      MappedBlockMap map = new MappedBlockMap(path, channel, header);
      try {
        map.load();
        map.writeState(MappedHeader.DIRTY);
        return map;
      } catch (IOException | RuntimeException e) {
        map.unmap();
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  /** Whether the last user of the file called {@link #markClean} before it closed. */
  public boolean wasClean() {
    return wasClean;
  }

  /**
   * States that whoever kept this map finished in good order; the next change is a new opening's.
   */
  public void markClean() throws IOException {
    writeState(MappedHeader.CLEAN);
  }

  public Path path() {
    return path;
  }

  private void writeState(byte state) throws IOException {
    writeFully(channel, ByteBuffer.wrap(new byte[] {state}), MappedHeader.STATE_AT);
  }

  /**
   * Counts the set blocks. Reads through the channel, since a read through the mapping would
   * allocate the pages of holes.
   */
  private void load() throws IOException {
    ByteBuffer page = ByteBuffer.allocateDirect(CHUNK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (int chunk = 0; chunk < chunks(); chunk++) {
      page.clear();
      readFully(channel, page, pageAt(chunk));
      int size = sizeOf(chunk);
      int count = 0;
      boolean zero = true;
      for (int i = 0; i < CHUNK_WORDS; i++) {
        long word = page.getLong(i * Long.BYTES);
        zero &= word == 0;
        count += Long.bitCount((word ^ inversion) & validBits(size, i));
      }
      if (!zero) {
        touched.set(chunk);
      }
      countIs(chunk, count);
    }
  }

  private static long validBits(int size, int index) {
    int left = size - index * Long.SIZE;
    return left >= Long.SIZE ? -1L : left <= 0 ? 0 : (1L << left) - 1;
  }

  @Override
  long word(int chunk, int index) {
    return bits.getLong(at(chunk, index)) ^ inversion;
  }

  @Override
  void store(int chunk, int index, long word) {
    bits.putLong(at(chunk, index), word ^ inversion);
  }

  @Override
  void mix(int chunk, boolean wasSet) {
    touch(chunk);
  }

  @Override
  void fill(int chunk, boolean set) {
    touch(chunk);
    int words = (sizeOf(chunk) + Long.SIZE - 1) / Long.SIZE;
    for (int i = 0; i < words; i++) {
      store(chunk, i, set ? -1L : 0);
    }
  }

  @Override
  void settle(int chunk) {}

  /** Allocates a chunk's page with a write: an untouched page holds zeroes, so nothing changes. */
  private void touch(int chunk) {
    if (touched.get(chunk)) {
      return;
    }
    try {
      writeFully(channel, EMPTY_PAGE.duplicate(), pageAt(chunk));
    } catch (IOException e) {
      throw new UncheckedIOException(
          new IOException(
              path + " can't grow (" + e.getMessage() + "); free space in " + path.getParent(), e));
    }
    touched.set(chunk);
  }

  private static int at(int chunk, int index) {
    return chunk * CHUNK_BYTES + index * Long.BYTES;
  }

  private static long pageAt(int chunk) {
    return MappedHeader.BYTES + (long) chunk * CHUNK_BYTES;
  }

  private static long fileBytes(long blocks) {
    return pageAt(chunksFor(blocks));
  }

  private static void setLength(FileChannel channel, long length) throws IOException {
    // FileChannel can extend a file only by writing: the last byte is written, the rest is a hole.
    if (channel.size() < length) {
      writeFully(channel, ByteBuffer.allocate(1), length - 1);
    }
  }

  private static void writeFully(FileChannel channel, ByteBuffer bytes, long at)
      throws IOException {
    long position = at;
    while (bytes.hasRemaining()) {
      position += channel.write(bytes, position);
    }
  }

  private static void readFully(FileChannel channel, ByteBuffer bytes, long at) throws IOException {
    long position = at;
    while (bytes.hasRemaining()) {
      int count = channel.read(bytes, position);
      if (count < 0) {
        return;
      }
      position += count;
    }
  }

  /** Unmaps the file and closes it. The file stays. A second call does nothing. */
  @Override
  public void close() {
    if (bits == null) {
      return;
    }
    unmap();
    try {
      channel.close();
    } catch (IOException e) {
      throw new UncheckedIOException("Closing " + path, e);
    }
  }

  private void unmap() {
    MappedByteBuffer mapped = bits;
    bits = null;
    Unmapper.unmap(mapped);
  }
}
