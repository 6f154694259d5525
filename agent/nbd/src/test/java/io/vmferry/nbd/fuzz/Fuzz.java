// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.fuzz;

import java.util.HexFormat;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Feeds a reader with wrong conversations, each made from its own seed. A failure names the seed
 * and shows the bytes, so {@link #input} alone repeats it.
 */
public final class Fuzz {
  /** All inputs only with {@code -Dvmferry.fuzz=whole}, as tests/all has it; else one in ten. */
  private static final int SHARE = "whole".equals(System.getProperty("vmferry.fuzz")) ? 1 : 10;

  /** Spreads neighbouring numbers over all seeds. */
  private static final long SPREAD = 0x9E37_79B9_7F4A_7C15L;

  private final List<List<byte[]>> conversations;
  private final Target target;

  /** What reads the input. Anything it throws is a failure. */
  public interface Target {
    /** Takes what arrives, in the pieces that the socket makes of it. */
    void take(byte[][] pieces) throws Exception;
  }

  /**
   * @param conversations valid ones, as lists of messages
   */
  public Fuzz(List<List<byte[]>> conversations, Target target) {
    this.conversations = conversations;
    this.target = target;
  }

  /** Takes {@code count} inputs, or a share of them: {@code seed}, {@code seed}+1 and so on. */
  public void inputs(long seed, int count) {
    for (int i = 0; i < count / SHARE; i++) {
      input(seed + i);
    }
  }

  /** Takes the one input of that seed. */
  public void input(long seed) {
    SplittableRandom random = new SplittableRandom(seed * SPREAD);
    Mutator mutator = new Mutator(random);
    byte[] bytes = mutator.mutate(conversations.get(random.nextInt(conversations.size())));
    byte[][] pieces = mutator.pieces(bytes);
    try {
      target.take(pieces);
    } catch (Exception | AssertionError e) {
      throw new AssertionError("input of seed %d: %s".formatted(seed, hex(pieces)), e);
    }
  }

  private static String hex(byte[][] pieces) {
    return Stream.of(pieces).map(HexFormat.of()::formatHex).collect(Collectors.joining(" | "));
  }
}
