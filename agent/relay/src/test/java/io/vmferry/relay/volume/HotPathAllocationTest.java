// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.netty.util.ResourceLeakDetector;
import io.vmferry.relay.map.BlockGrid;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeapBlockMap;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What a request that the page cache answers costs the heap, from the socket to the file and back:
 * nothing. A real server, a real volume, a real file.
 */
final class HotPathAllocationTest extends ServedVolumeFixture {
  /** Of one measurement. */
  private static final int REQUESTS = 1_000;

  /**
   * Measurements at most; the least one counts. Before all is compiled, and lists are as large as
   * they get, requests cost more; and after a write that had to wait, as on a busy machine, disk
   * threads make the next ones for a while, with one object each.
   */
  private static final int MEASUREMENTS = 300;

  /** Bytes; below that nothing is allocated for each, but now and then something for many. */
  private static final double LEAST_OBJECT = 8;

  private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private final ResourceLeakDetector.Level leakDetection = ResourceLeakDetector.getLevel();

  @BeforeEach
  void detectNoLeaks() {
    ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.DISABLED); // it allocates for each
  }

  @AfterEach
  void detectLeaksAgain() {
    ResourceLeakDetector.setLevel(leakDetection);
  }

  @Test
  void readsAllocateNothing() throws Exception {
    assertThat(allocatedPerRequest(READ)).isLessThan(LEAST_OBJECT);
  }

  @Test
  void writesAllocateNothing() throws Exception {
    assertThat(allocatedPerRequest(WRITE)).isLessThan(LEAST_OBJECT);
  }

  @Test
  void writesThatAreMarkedForAnotherReplicaAllocateNothing() throws Exception {
    BlockMap stale = HeapBlockMap.allClear(SIZE / BlockGrid.BLOCK);
    CompletableFuture.runAsync(() -> volume.replicas().put("elsewhere", stale), loop).get();
    assertThat(allocatedPerRequest(WRITE)).isLessThan(LEAST_OBJECT);
    assertThat(stale.cardinality()).isEqualTo(SIZE / BlockGrid.BLOCK);
  }

  private double allocatedPerRequest(int command) throws Exception {
    long loopThread =
        CompletableFuture.supplyAsync(() -> Thread.currentThread().getId(), loop).get();
    double least = Double.MAX_VALUE;
    for (int i = 0; i < MEASUREMENTS && least >= LEAST_OBJECT; i++) {
      long before = threads.getThreadAllocatedBytes(loopThread);
      ask(command, REQUESTS);
      long allocated = threads.getThreadAllocatedBytes(loopThread) - before;
      least = Math.min(least, (double) allocated / REQUESTS);
    }
    return least;
  }

  private void ask(int command, int times) throws IOException {
    byte[] data = new byte[BlockGrid.BLOCK];
    byte[] none = {};
    for (int i = 0; i < times; i++) {
      long offset = (long) i * BlockGrid.BLOCK % SIZE;
      request(command, i, offset, data.length, command == WRITE ? data : none);
      answered(i);
      if (command == READ) {
        answers.readFully(data);
      }
    }
  }
}
