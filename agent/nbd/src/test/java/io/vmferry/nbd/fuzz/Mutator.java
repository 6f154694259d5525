// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.fuzz;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Makes one wrong conversation of a valid one: messages are swapped, repeated, left out; bits
 * flipped, numbers replaced by those at the edges of what is allowed, bytes inserted, cut out and
 * cut off. All from one random source, so that the same seed gives the same bytes.
 */
final class Mutator {
  /** Fields of a message stand at its beginning; half of the changes are made there. */
  private static final int FIELDS = 32;

  private static final long[] EDGES = {
    0,
    1,
    -1,
    2,
    4095,
    4096,
    4097,
    65535,
    65536,
    65537,
    1 << 20,
    (1 << 20) + 1,
    32 << 20,
    (32 << 20) + 1,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    0xffff_ffffL,
    1L << 32,
    Long.MAX_VALUE,
    Long.MIN_VALUE
  };

  private final SplittableRandom random;

  Mutator(SplittableRandom random) {
    this.random = random;
  }

  /** The messages behind each other, with one to five things wrong. */
  byte[] mutate(List<byte[]> conversation) {
    List<byte[]> messages = new ArrayList<>(conversation);
    int changes = 1;
    while (changes < 5 && random.nextBoolean()) {
      changes++;
    }
    for (; changes > 0; changes--) {
      if (random.nextInt(4) == 0) {
        reorder(messages);
      } else {
        int at = random.nextInt(messages.size());
        messages.set(at, change(messages.get(at)));
      }
    }
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    messages.forEach(all::writeBytes);
    byte[] bytes = all.toByteArray();
    return random.nextInt(8) == 0 ? Arrays.copyOf(bytes, random.nextInt(bytes.length + 1)) : bytes;
  }

  /** The same in one to four pieces, cut at any byte. */
  byte[][] pieces(byte[] bytes) {
    int[] cuts = new int[random.nextInt(4)];
    for (int i = 0; i < cuts.length; i++) {
      cuts[i] = random.nextInt(bytes.length + 1);
    }
    Arrays.sort(cuts);
    byte[][] pieces = new byte[cuts.length + 1][];
    int from = 0;
    for (int i = 0; i < cuts.length; i++) {
      pieces[i] = Arrays.copyOfRange(bytes, from, cuts[i]);
      from = cuts[i];
    }
    pieces[cuts.length] = Arrays.copyOfRange(bytes, from, bytes.length);
    return pieces;
  }

  private void reorder(List<byte[]> messages) {
    int at = random.nextInt(messages.size());
    switch (random.nextInt(3)) {
      case 0 -> Collections.swap(messages, at, random.nextInt(messages.size()));
      case 1 -> messages.add(random.nextInt(messages.size() + 1), messages.get(at));
      default -> {
        if (messages.size() > 1) {
          messages.remove(at);
        }
      }
    }
  }

  private byte[] change(byte[] message) {
    if (message.length == 0) {
      return new byte[] {(byte) random.nextInt()};
    }
    int within = random.nextBoolean() ? Math.min(FIELDS, message.length) : message.length;
    int at = random.nextInt(within);
    return switch (random.nextInt(8)) {
      case 0, 1 -> {
        byte[] changed = message.clone();
        changed[at] ^= (byte) (1 << random.nextInt(8));
        yield changed;
      }
      case 2 -> {
        byte[] changed = message.clone();
        changed[at] = (byte) random.nextInt();
        yield changed;
      }
      case 3, 4, 5 -> edge(message, at);
      case 6 -> insert(message, at);
      default -> cutOut(message, at);
    };
  }

  private byte[] edge(byte[] message, int at) {
    int width = 1 << random.nextInt(4);
    // Fields are aligned more often than not.
    int from = Math.min(at & -width, message.length - width);
    if (from < 0) {
      return insert(message, at);
    }
    byte[] changed = message.clone();
    long value = EDGES[random.nextInt(EDGES.length)];
    ByteBuffer whole = ByteBuffer.allocate(Long.BYTES).putLong(0, value);
    whole.get(Long.BYTES - width, changed, from, width);
    return changed;
  }

  private byte[] insert(byte[] message, int at) {
    byte[] more = new byte[1 + random.nextInt(24)];
    if (random.nextBoolean()) {
      random.nextBytes(more);
    }
    ByteBuffer changed = ByteBuffer.allocate(message.length + more.length);
    changed.put(message, 0, at).put(more).put(message, at, message.length - at);
    return changed.array();
  }

  private byte[] cutOut(byte[] message, int at) {
    int length = 1 + random.nextInt(message.length - at);
    byte[] changed = Arrays.copyOf(message, message.length - length);
    System.arraycopy(message, at + length, changed, at, changed.length - at);
    return changed;
  }
}
