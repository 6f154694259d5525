// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.history;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.vmferry.relay.history.BlockHistory.Kind;
import io.vmferry.relay.history.BlockHistory.Op;
import org.junit.jupiter.api.Test;

/** For each rule of {@link BlockHistory} what it allows and what it refuses. */
final class BlockHistoryTest {
  /** Two sectors, with 101 and 102 in them. */
  private final BlockHistory history = new BlockHistory(101, 102);

  private Op write(long value) {
    return history.invoke(Kind.WRITE, 0, 1, value, false);
  }

  private Op written(long value) {
    Op op = write(value);
    history.ok(op);
    return op;
  }

  private Op read() {
    return history.invoke(Kind.READ, 0, 1, 0, false);
  }

  private void reads(long value) {
    history.ok(read(), value);
  }

  private void flush() {
    history.ok(history.invoke(Kind.FLUSH, 0, 0, 0, false));
  }

  private void refuses(long value) {
    Op read = read();
    assertThatThrownBy(() -> history.ok(read, value))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("sector 0 holds " + value);
  }

  @Test
  void whatWasThereFromTheStartIsRead() {
    reads(101);
  }

  @Test
  void whatNobodyWroteIsNotRead() {
    refuses(5);
  }

  @Test
  void anotherSectorsContentIsNotRead() {
    refuses(102);
  }

  @Test
  void whatIsWrittenAfterTheAnswerIsNotRead() {
    Op read = read();
    assertThatThrownBy(() -> history.ok(read, 5)).hasMessageContaining("only [101]");
    written(5);
    reads(5);
  }

  @Test
  void whatWasOverwrittenIsNotRead() {
    written(5);
    refuses(101);
  }

  @Test
  void whatWasOverwrittenTwiceIsNotRead() {
    written(5);
    written(6);
    refuses(5);
  }

  @Test
  void aReadThatBeganBeforeTheWriteEndedMayMissIt() {
    Op read = read();
    written(5);
    history.ok(read, 101);
    reads(5);
  }

  @Test
  void aWriteUnderWayIsReadOrNot() {
    Op write = write(5);
    reads(101);
    reads(5);
    history.ok(write);
    reads(5);
  }

  @Test
  void whatWasReadOnceDoesNotGoAway() {
    write(5);
    reads(5);
    refuses(101);
  }

  @Test
  void twoReadsAtATimeMaySeeBothSidesOfAWrite() {
    write(5);
    Op first = read();
    Op second = read();
    history.ok(first, 5);
    history.ok(second, 101);
    reads(5);
  }

  @Test
  void twoWritesAtATimeEndInEitherOrder() {
    Op one = write(5);
    Op other = write(6);
    history.ok(one);
    history.ok(other);
    reads(5);
    reads(5);
  }

  @Test
  void twoWritesAtATimeEndInOneOrder() {
    Op one = write(5);
    Op other = write(6);
    history.ok(one);
    history.ok(other);
    reads(5);
    refuses(6);
  }

  @Test
  void whatWasReplacedBeforeTheEyesOfAReadDoesNotComeBack() {
    write(5);
    write(6);
    reads(5);
    reads(6);
    refuses(5);
  }

  @Test
  void orderThatReadsHaveShownHoldsThroughOthers() {
    write(5);
    write(6);
    write(7);
    reads(5);
    reads(6);
    reads(7);
    refuses(5);
  }

  @Test
  void aRefusedWriteNeverShows() {
    history.refused(write(5));
    refuses(5);
  }

  @Test
  void aWriteOfUnknownOutcomeMayShowLater() {
    history.unknown(write(5));
    reads(101);
    reads(101);
    reads(5);
  }

  @Test
  void aWriteOfUnknownOutcomeMayShowAfterALaterOne() {
    // It may have been carried out after it: nobody knows when.
    history.unknown(write(5));
    written(6);
    reads(6);
    reads(5);
    refuses(6);
  }

  @Test
  void aWriteOfUnknownOutcomeThatWasSeenAndOverwrittenIsGone() {
    history.unknown(write(5));
    reads(5);
    written(6);
    refuses(5);
  }

  @Test
  void partsOfAWriteUnderWayMayShow() {
    history.invoke(Kind.WRITE, 0, 2, 5, false);
    history.ok(history.invoke(Kind.READ, 0, 2, 0, false), 5, 102);
  }

  @Test
  void partsOfAnAnsweredWriteMayNot() {
    history.ok(history.invoke(Kind.WRITE, 0, 2, 5, false));
    Op read = history.invoke(Kind.READ, 0, 2, 0, false);
    assertThatThrownBy(() -> history.ok(read, 5, 102)).hasMessageContaining("sector 1 holds 102");
  }

  @Test
  void anAnsweredZeroIsRead() {
    history.ok(history.invoke(Kind.ZERO, 0, 1, 0, false));
    refuses(101);
    reads(0);
  }

  @Test
  void aTrimmedSectorHoldsZeroesOrWhatItHeld() {
    history.ok(history.invoke(Kind.TRIM, 0, 1, 0, false));
    reads(101);
    reads(0);
    refuses(101);
  }

  @Test
  void aTrimmedSectorHoldsNothingOlder() {
    written(5);
    history.ok(history.invoke(Kind.TRIM, 0, 1, 0, false));
    refuses(101);
  }

  @Test
  void aWriteEndsATrim() {
    history.ok(history.invoke(Kind.TRIM, 0, 1, 0, false));
    written(5);
    refuses(0);
  }

  @Test
  void aPowerLossMayUndoWhatIsNotFlushed() {
    written(5);
    history.powerLoss();
    reads(101);
  }

  @Test
  void aPowerLossNeedNotUndoIt() {
    written(5);
    history.powerLoss();
    reads(5);
  }

  @Test
  void afterAPowerLossTheContentIsOneOfThePossible() {
    written(5);
    history.powerLoss();
    reads(101);
    refuses(5);
  }

  @Test
  void aPowerLossDoesNotUndoWhatIsFlushed() {
    written(5);
    flush();
    history.powerLoss();
    refuses(101);
  }

  @Test
  void aFlushDoesNotCoverWhatEndedAfterItBegan() {
    Op flush = history.invoke(Kind.FLUSH, 0, 0, 0, false);
    written(5);
    history.ok(flush);
    history.powerLoss();
    reads(101);
  }

  @Test
  void aFlushThatWasNotAnsweredCoversNothing() {
    written(5);
    history.invoke(Kind.FLUSH, 0, 0, 0, false);
    history.powerLoss();
    reads(101);
  }

  @Test
  void aPowerLossDoesNotUndoAFuaWrite() {
    history.ok(history.invoke(Kind.WRITE, 0, 1, 5, true));
    history.powerLoss();
    refuses(101);
  }

  @Test
  void aFuaWriteMakesNoOtherWriteDurable() {
    history.ok(history.invoke(Kind.WRITE, 1, 1, 5, true));
    written(6);
    history.powerLoss();
    reads(101);
  }

  @Test
  void aWriteUnderWayAtAPowerLossIsThereOrNot() {
    write(5);
    history.powerLoss();
    assertThat(history.possible(0)).containsExactly(5L, 101L);
    reads(5);
    refuses(101);
  }

  @Test
  void whatAPowerLossCanLeaveIsKnownBefore() {
    written(5);
    assertThat(history.mayHold(0, 101)).isFalse();
    assertThat(history.mayHoldAfterPowerLoss(0, 101)).isTrue();
    flush();
    assertThat(history.mayHoldAfterPowerLoss(0, 101)).isFalse();
  }

  @Test
  void aSecondAnswerIsAnError() {
    Op write = written(5);
    assertThatThrownBy(() -> history.ok(write)).hasMessageContaining("answered twice");
  }

  @Test
  void anAnswerAfterAPowerLossIsAnError() {
    Op write = write(5);
    history.powerLoss();
    assertThatThrownBy(() -> history.ok(write)).isInstanceOf(AssertionError.class);
  }
}
