// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import io.vmferry.relay.map.BlockGrid;

/**
 * Finds guests' sequential reads and says what to fetch before it is asked for.
 *
 * <p>A read that begins where another one ended, or nearly there, continues its stream. From the
 * second read on, what follows is fetched: first 64 KiB, each time twice as much, up to 1 MiB or
 * what the caller allows. The next portion is named when half of the last one was read, so that a
 * steady reader doesn't wait. Streams of several programs in one guest are told apart by their
 * place. Loop only.
 */
public final class ReadAhead {
  /** First portion, in blocks: 64 KiB. */
  static final long FIRST = (64 << 10) / BlockGrid.BLOCK;

  /** Largest portion, in blocks: 1 MiB. */
  public static final long MOST = (1 << 20) / BlockGrid.BLOCK;

  /** Streams that are told apart; the one that was read longest ago is given up. */
  static final int STREAMS = 8;

  /** Requests of one stream may overtake each other, or skip what the guest has in its cache. */
  private static final long SLACK = (64 << 10) / BlockGrid.BLOCK;

  private final long blocks;
  private final Stream[] streams = new Stream[STREAMS];
  private long reads;

  /** One reader's place. */
  private static final class Stream {
    /** Where the next read is expected. */
    private long next;

    /** End of what was named already. */
    private long ahead;

    /** Blocks of the next portion. */
    private long portion;

    private long lastRead;
  }

  /** Blocks to fetch that nobody waits for yet. */
  public record Portion(long from, long to) {}

  /** For a volume of that many blocks. */
  public ReadAhead(long blocks) {
    this.blocks = blocks;
  }

  /**
   * A guest reads {@code [from, to)}, whether it is here or not.
   *
   * @param most largest portion in blocks
   * @return what to fetch ahead, null for nothing
   */
  public Portion read(long from, long to, long most) {
    reads++;
    Stream stream = streamAt(from);
    if (stream == null) {
      begin(to);
      return null;
    }
    stream.lastRead = reads;
    if (to <= stream.next) {
      // Overtaken by a later request of the same stream, or read again: nothing new.
      return null;
    }
    stream.next = to;
    long begin = Math.max(stream.ahead, to);
    if (begin - to > stream.portion / 4) {
      return null;
    }
    long end = Math.min(blocks, begin + Math.min(stream.portion, most));
    stream.ahead = end;
    stream.portion = Math.min(2 * stream.portion, MOST);
    return begin < end ? new Portion(begin, end) : null;
  }

  private Stream streamAt(long from) {
    for (Stream stream : streams) {
      if (stream != null && Math.abs(from - stream.next) <= SLACK) {
        return stream;
      }
    }
    return null;
  }

  private void begin(long to) {
    int oldest = 0;
    for (int i = 0; i < STREAMS; i++) {
      if (streams[i] == null) {
        streams[i] = new Stream();
        oldest = i;
        break;
      }
      if (streams[i].lastRead < streams[oldest].lastRead) {
        oldest = i;
      }
    }
    Stream stream = streams[oldest];
    stream.next = to;
    stream.ahead = to;
    stream.portion = FIRST;
    stream.lastRead = reads;
  }
}
