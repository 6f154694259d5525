// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.vmferry.api.Epoch;
import io.vmferry.relay.map.MappedBlockMap.Identity;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.UUID;
import java.util.zip.CRC32C;

/**
 * The first 4096 bytes of a mapped map. Little endian; UUIDs in the order of their text form.
 *
 * <pre>
 *    0  8   magic "VMFYMAP\n"
 *    8  4   version, 1
 *   12  1   fill: 0 the file's bits are the map's, 1 they are its complement
 *   13  3   zero
 *   16  16  UUID of the volume
 *   32  16  boot id
 *   48  8   number of blocks
 *   56  8   epoch number
 *   64  2   length of the epoch's owner in bytes, 0 to 255
 *   66  n   the epoch's owner, UTF-8; zeroes up to 4088
 * 4088  4   CRC32C of the bytes before
 * 4092  1   state: 'C' clean, 'D' dirty; not in the checksum, as it changes while the map is open
 * 4093  3   zero
 * </pre>
 *
 * @param inverted the file's bits are the map's complement
 * @param clean the last user closed the map in good order
 */
record MappedHeader(Identity identity, boolean inverted, boolean clean) {

  /** One page, so that each chunk's 4 KiB of bits is a page too. */
  static final int BYTES = 4096;

  static final int STATE_AT = 4092;
  static final byte CLEAN = 'C';
  static final byte DIRTY = 'D';

  private static final long MAGIC =
      ByteBuffer.wrap("VMFYMAP\n".getBytes(UTF_8)).order(ByteOrder.LITTLE_ENDIAN).getLong();
  private static final int VERSION = 1;
  private static final int FILL_AT = 12;
  private static final int OWNER_AT = 64;
  private static final int CRC_AT = 4088;
  static final int MAX_OWNER_BYTES = 255;

  ByteBuffer encode() {
    ByteBuffer out = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
    byte[] owner = identity.epoch().owner().getBytes(UTF_8);
    out.putLong(MAGIC).putInt(VERSION).putInt(inverted ? 1 : 0);
    putUuid(out, identity.volume());
    putUuid(out, identity.bootId());
    out.putLong(identity.blocks()).putLong(identity.epoch().number());
    out.putShort((short) owner.length).put(owner);
    out.putInt(CRC_AT, crc(out));
    out.put(STATE_AT, clean ? CLEAN : DIRTY);
    return out.clear();
  }

  static MappedHeader decode(Path path, ByteBuffer in) throws MapRefusedException {
    require(in.remaining() == BYTES, path, "it is shorter than its header");
    ByteBuffer header = in.slice().order(ByteOrder.LITTLE_ENDIAN);
    require(header.getLong() == MAGIC, path, "it doesn't start with the mark of a map");
    require(header.getInt(CRC_AT) == crc(header), path, "the checksum of its header is wrong");
    int version = header.getInt();
    require(
        version == VERSION, path, "it has version " + version + "; this release reads version 1");
    int fill = header.getInt(FILL_AT);
    header.position(FILL_AT + Integer.BYTES);
    UUID volume = getUuid(header);
    UUID bootId = getUuid(header);
    long blocks = header.getLong();
    long number = header.getLong();
    int length = header.getShort(OWNER_AT) & 0xffff;
    byte state = header.get(STATE_AT);
    boolean zeroes = header.getInt(STATE_AT) >>> Byte.SIZE == 0;
    require(
        (fill == 0 || fill == 1)
            && length <= MAX_OWNER_BYTES
            && (state == CLEAN || state == DIRTY)
            && zeroes,
        path,
        "its header has an impossible value");
    byte[] owner = new byte[length];
    header.position(OWNER_AT + Short.BYTES).get(owner);
    Epoch epoch = new Epoch(number, new String(owner, UTF_8));
    return new MappedHeader(new Identity(volume, epoch, bootId, blocks), fill == 1, state == CLEAN);
  }

  /** Refuses a map that isn't the expected one, naming the first difference. */
  void check(Path path, Identity expected) throws MapRefusedException {
    same(path, "volume", identity.volume(), expected.volume());
    same(path, "boot", identity.bootId(), expected.bootId());
    same(path, "epoch", identity.epoch(), expected.epoch());
    same(path, "number of blocks", identity.blocks(), expected.blocks());
  }

  private static void same(Path path, String what, Object found, Object expected)
      throws MapRefusedException {
    require(found.equals(expected), path, "its " + what + " is " + found + " and not " + expected);
  }

  private static void require(boolean holds, Path path, String problem) throws MapRefusedException {
    if (!holds) {
      throw new MapRefusedException(path, problem);
    }
  }

  private static int crc(ByteBuffer header) {
    CRC32C crc = new CRC32C();
    crc.update(header.duplicate().position(0).limit(CRC_AT));
    return (int) crc.getValue();
  }

  private static void putUuid(ByteBuffer out, UUID uuid) {
    out.putLong(Long.reverseBytes(uuid.getMostSignificantBits()));
    out.putLong(Long.reverseBytes(uuid.getLeastSignificantBits()));
  }

  private static UUID getUuid(ByteBuffer in) {
    return new UUID(Long.reverseBytes(in.getLong()), Long.reverseBytes(in.getLong()));
  }
}
