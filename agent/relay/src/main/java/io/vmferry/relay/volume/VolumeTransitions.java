// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static io.vmferry.api.VolumeState.FETCHING;
import static io.vmferry.api.VolumeState.FORKED;
import static io.vmferry.api.VolumeState.RELEASED;
import static io.vmferry.api.VolumeState.SERVING;
import static io.vmferry.api.VolumeState.STANDBY;

import io.vmferry.api.VolumeState;
import java.util.Map;

/**
 * The one table of a volume's states.
 *
 * <pre>
 *               TAKE_OVER             COMPLETE
 *   STANDBY ---------------> FETCHING ----------> SERVING
 *     ^  |                      |                    |
 *     |  | DROP                 | RELEASE            | RELEASE
 *     |  v                      v                    |
 *   RELEASED &lt;---------------------------------------+
 *      ATTACH: RELEASED -> STANDBY
 *
 *   by force:          PROMOTE: RELEASED or FORKED -> SERVING
 *   what it leads to:  FORK:    SERVING or FETCHING -> FORKED
 * </pre>
 *
 * A volume begins SERVING (created, imported) or STANDBY (attached to its owner elsewhere). DROP
 * leads a standby that was attached from a released replica back to it; any other standby is
 * deleted. Going back needs ATTACH because the returning QEMU reads while the other side still owns
 * the volume.
 */
public final class VolumeTransitions {

  /** What moves a volume from one state to the next. */
  public enum Trigger {
    /** This node attached its retained replica to the owner, before a handover back. */
    ATTACH,
    /** The standby isn't wanted any more; the retained replica stays. */
    DROP,
    /** The owner released the volume to this node, durably at both ends. */
    TAKE_OVER,
    /** The last block is here, durably. */
    COMPLETE,
    /** Another node took over. */
    RELEASE,
    /** An operator made this complete replica the owner, without the owner's consent. */
    PROMOTE,
    /** Another node owns the volume too: it was promoted there. */
    FORK
  }

  private static final Map<VolumeState, Map<Trigger, VolumeState>> TABLE =
      Map.of(
          SERVING, Map.of(Trigger.RELEASE, RELEASED, Trigger.FORK, FORKED),
          STANDBY, Map.of(Trigger.TAKE_OVER, FETCHING, Trigger.DROP, RELEASED),
          FETCHING,
              Map.of(Trigger.COMPLETE, SERVING, Trigger.RELEASE, RELEASED, Trigger.FORK, FORKED),
          RELEASED, Map.of(Trigger.ATTACH, STANDBY, Trigger.PROMOTE, SERVING),
          FORKED, Map.of(Trigger.PROMOTE, SERVING));

  private VolumeTransitions() {}

  /**
   * The state after {@code trigger}.
   *
   * @throws IllegalStateException if the table has no such transition; names both
   */
  public static VolumeState next(VolumeState state, Trigger trigger) {
    VolumeState next = TABLE.get(state).get(trigger);
    if (next == null) {
      throw new IllegalStateException("no transition " + trigger + " from state " + state);
    }
    return next;
  }

  /** Whether the table has the transition. */
  public static boolean allows(VolumeState state, Trigger trigger) {
    return TABLE.get(state).containsKey(trigger);
  }
}
