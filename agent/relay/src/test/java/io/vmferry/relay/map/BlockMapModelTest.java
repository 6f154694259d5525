// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.map;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.Epoch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.UUID;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;

/** Both maps against a plain BitSet. */
final class BlockMapModelTest {

  private static Path directory;

  /** A change of a range; positions are fractions, so that they fit any size of map. */
  record Change(int from, int to, boolean set) {}

  /** A size of a map and what happens to it. */
  record Story(int blocks, boolean initial, List<Change> changes) {}

  @BeforeContainer
  static void makeDirectory() throws IOException {
    directory = Files.createTempDirectory("maps");
  }

  @AfterContainer
  static void removeDirectory() throws IOException {
    Files.deleteIfExists(directory.resolve("map"));
    Files.delete(directory);
  }

  @Provide
  Arbitrary<Story> stories() {
    int chunk = ChunkedBlockMap.CHUNK_BLOCKS;
    Arbitrary<Integer> sizes =
        Arbitraries.oneOf(
            Arbitraries.of(1, 63, 64, 65, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 7),
            Arbitraries.integers().between(1, 3 * chunk));
    return sizes.flatMap(
        blocks -> {
          Arbitrary<Integer> near =
              Arbitraries.of(0, 64, chunk, 2 * chunk, blocks)
                  .flatMap(at -> Arbitraries.integers().between(at - 2, at + 2))
                  .map(at -> Math.max(0, Math.min(blocks, at)));
          Arbitrary<Integer> positions =
              Arbitraries.oneOf(near, Arbitraries.integers().between(0, blocks));
          Arbitrary<Change> changes =
              Combinators.combine(positions, positions, Arbitraries.of(true, false))
                  .as((a, b, set) -> new Change(Math.min(a, b), Math.max(a, b), set));
          return Combinators.combine(
                  Arbitraries.of(true, false), changes.list().ofMinSize(1).ofMaxSize(20))
              .as((initial, list) -> new Story(blocks, initial, list));
        });
  }

  private static HeapBlockMap uniform(Story story) {
    return story.initial()
        ? HeapBlockMap.allSet(story.blocks())
        : HeapBlockMap.allClear(story.blocks());
  }

  private static void tell(Story story, BlockMap map, BitSet model) {
    model.set(0, story.blocks(), story.initial());
    for (Change change : story.changes()) {
      int before = model.cardinality();
      model.set(change.from(), change.to(), change.set());
      int difference = Math.abs(model.cardinality() - before);
      long changed =
          change.set()
              ? map.set(change.from(), change.to())
              : map.clear(change.from(), change.to());
      assertThat(changed).isEqualTo(difference);
      assertThat(map.cardinality()).isEqualTo(model.cardinality());
      int expected = model.get(change.from(), change.to()).cardinality();
      assertThat(map.count(change.from(), change.to())).isEqualTo(expected);
    }
  }

  private static void same(BlockMap map, BitSet model, Story story) {
    int blocks = story.blocks();
    assertThat(map.blocks()).isEqualTo(blocks);
    assertThat(map.cardinality()).isEqualTo(model.cardinality());
    List<Integer> positions = new ArrayList<>(List.of(0, blocks));
    for (Change change : story.changes()) {
      positions.addAll(List.of(change.from(), change.to()));
    }
    for (int position : positions) {
      for (int at = Math.max(0, position - 1); at <= Math.min(blocks, position + 1); at++) {
        int set = model.nextSetBit(at);
        assertThat(map.nextSet(at)).isEqualTo(set < 0 ? blocks : set);
        assertThat(map.nextClear(at)).isEqualTo(Math.min(blocks, model.nextClearBit(at)));
        if (at < blocks) {
          assertThat(map.get(at)).isEqualTo(model.get(at));
        }
      }
    }
    BitSet walked = new BitSet();
    Runs.forEach(
        map,
        0,
        blocks,
        true,
        (from, to) -> {
          walked.set((int) from, (int) to);
          return true;
        });
    assertThat(walked).isEqualTo(model);
  }

  @Property(tries = 500)
  void heapMapIsABitSet(@ForAll("stories") Story story) {
    BitSet model = new BitSet();
    try (HeapBlockMap map = uniform(story)) {
      tell(story, map, model);
      same(map, model, story);
      same(HeapBlockMap.copyOf(map), model, story);
    }
  }

  @Property(tries = 200)
  void mappedMapIsABitSetAndStaysOneWhenOpenedAgain(@ForAll("stories") Story story)
      throws IOException {
    Path path = directory.resolve("map");
    MappedBlockMap.Identity identity =
        new MappedBlockMap.Identity(
            new UUID(1, 2), new Epoch(1, "a"), new UUID(3, 4), story.blocks());
    BitSet model = new BitSet();
    try (MappedBlockMap map = MappedBlockMap.create(path, identity, uniform(story))) {
      tell(story, map, model);
      same(map, model, story);
      same(HeapBlockMap.copyOf(map), model, story);
    }
    try (MappedBlockMap map = MappedBlockMap.open(path, identity)) {
      same(map, model, story);
    }
  }
}
