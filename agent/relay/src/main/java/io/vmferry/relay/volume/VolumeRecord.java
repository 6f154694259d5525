// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import com.fasterxml.jackson.annotation.JsonInclude;
import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import java.time.Instant;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.function.Consumer;

/**
 * What is durable about a replica besides its blocks: the payload of its state file. Immutable;
 * each change is a new record, and counts once it is durable.
 *
 * @param name export name
 * @param uuid identity of the volume
 * @param size bytes
 * @param state what the replica is here
 * @param epoch of the last change of owner known here
 * @param held which blocks the replica holds
 * @param origin where missing blocks come from, and the epoch in which it released them; or null
 * @param domain libvirt domain the volume was attached for, or null
 * @param replicas other nodes that keep a replica (owner only)
 * @param completeAt node that took over and reported to hold everything (RELEASED, or STANDBY on
 *     the way back), or null
 * @param completeSince when this node learned that, by its wall clock; or null
 * @param release the handover of which this replica has the content, as long as it isn't the
 *     owner's; or null
 * @param promotedOver the epoch that a promotion by force ended without its owner's consent, as
 *     long as this node owns the volume since; or null
 * @param rival epoch in which another node owns the volume too (FORKED only), or null
 * @param source the plain NBD server that missing blocks come from, until all are here; or null
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record VolumeRecord(
    String name,
    UUID uuid,
    long size,
    VolumeState state,
    Epoch epoch,
    Held held,
    Origin origin,
    UUID domain,
    Set<String> replicas,
    String completeAt,
    Instant completeSince,
    Release release,
    Epoch promotedOver,
    Epoch rival,
    Source source) {

  /** Which blocks a replica holds. */
  public enum Held {
    ALL,
    NONE,
    /** Those in the journal of held blocks. */
    JOURNAL
  }

  /**
   * The previous owner.
   *
   * @param node its name
   * @param epoch the epoch that began when it released the volume; its content is frozen in it
   */
  public record Origin(String node, Epoch epoch) {}

  /**
   * A handover, as the node that gave the volume away noted it.
   *
   * @param to the epoch that began
   * @param at when, by this node's wall clock
   */
  public record Release(Epoch to, Instant at) {}

  /**
   * A plain NBD server whose export is the content of a new volume.
   *
   * @param uri of the export
   * @param tlsCa file with the certificates of the authorities that the server's certificate may be
   *     from; null for those that the system trusts
   */
  public record Source(String uri, String tlsCa) {}

  public VolumeRecord {
    replicas = replicas == null ? Set.of() : Set.copyOf(replicas);
  }

  private static VolumeRecord fresh(
      String name, UUID uuid, long size, VolumeState state, Epoch epoch, Held held) {
    return new VolumeRecord(
        name, uuid, size, state, epoch, held, null, null, null, null, null, null, null, null, null);
  }

  /** A new volume, owned here, complete: all holes. */
  public static VolumeRecord created(String name, UUID uuid, long size, String node) {
    return fresh(name, uuid, size, VolumeState.SERVING, new Epoch(1, node), Held.ALL);
  }

  /** A new volume, owned here, whose content is still at an NBD server. */
  public static VolumeRecord fetched(
      String name, UUID uuid, long size, String node, Source source) {
    return created(name, uuid, size, node)
        .with(
            draft -> {
              draft.state = VolumeState.FETCHING;
              draft.held = Held.JOURNAL;
              draft.source = source;
            });
  }

  /** A new standby of a volume that is owned elsewhere. */
  public static VolumeRecord standby(
      String name, UUID uuid, long size, Epoch ownersEpoch, UUID domain) {
    return fresh(name, uuid, size, VolumeState.STANDBY, ownersEpoch, Held.NONE).withDomain(domain);
  }

  /** A retained replica, attached to the owner again. */
  public VolumeRecord attached(Epoch ownersEpoch, UUID newDomain) {
    return with(
        draft -> {
          draft.state = next(VolumeTransitions.Trigger.ATTACH);
          draft.epoch = ownersEpoch;
          draft.domain = newDomain;
          draft.replicas = Set.of();
        });
  }

  /** A standby whose owner or domain changed. */
  public VolumeRecord reattached(Epoch ownersEpoch, UUID newDomain) {
    return with(
        draft -> {
          draft.epoch = ownersEpoch;
          draft.domain = newDomain;
          draft.replicas = Set.of();
        });
  }

  /** A standby that goes back to being a retained replica. */
  public VolumeRecord dropped() {
    return with(
        draft -> {
          draft.state = next(VolumeTransitions.Trigger.DROP);
          draft.domain = null;
          draft.replicas = Set.of();
        });
  }

  /** Owner from {@code newEpoch} on, fetching what it lacks from {@code from}. */
  public VolumeRecord takenOver(Epoch newEpoch, String from) {
    return with(
        draft -> {
          draft.state = next(VolumeTransitions.Trigger.TAKE_OVER);
          draft.epoch = newEpoch;
          draft.held = Held.JOURNAL;
          draft.origin = new Origin(from, newEpoch);
          draft.replicas = Set.of(from);
          draft.completeAt = null;
          draft.completeSince = null;
          draft.release = null;
        });
  }

  /**
   * Complete; the origin stays noted until it knows, an NBD server need not know. A replica that is
   * not owner keeps its state.
   */
  public VolumeRecord completed() {
    return with(
        draft -> {
          if (state == VolumeState.FETCHING) {
            draft.state = next(VolumeTransitions.Trigger.COMPLETE);
          }
          draft.held = Held.ALL;
          draft.source = null;
        });
  }

  /**
   * The origin is of no use any more: it knows that this replica is complete, or took over itself.
   */
  public VolumeRecord withoutOrigin() {
    return with(draft -> draft.origin = null);
  }

  /** Released to the owner of {@code newEpoch}. */
  public VolumeRecord released(Epoch newEpoch, Instant now) {
    boolean originIsOwner = origin != null && origin.node().equals(newEpoch.owner());
    return with(
        draft -> {
          draft.state = next(VolumeTransitions.Trigger.RELEASE);
          draft.epoch = newEpoch;
          draft.origin = originIsOwner ? null : origin;
          draft.replicas = Set.of();
          draft.completeAt = null;
          draft.completeSince = null;
          draft.release = new Release(newEpoch, now);
          draft.promotedOver = null;
        });
  }

  /**
   * Owner by force, from {@code newEpoch} on, of what this replica holds: everything, as it was
   * when it gave the volume away. What was written since in the epochs after that is not in it.
   */
  public VolumeRecord promoted(Epoch newEpoch) {
    if (held != Held.ALL) {
      throw new IllegalStateException("volume " + name + " lacks blocks: it can't be promoted");
    }
    return with(
        draft -> {
          draft.state = next(VolumeTransitions.Trigger.PROMOTE);
          draft.epoch = newEpoch;
          draft.replicas = Set.of();
          draft.completeAt = null;
          draft.completeSince = null;
          draft.release = null;
          draft.promotedOver = epoch;
          draft.rival = null;
        });
  }

  /** Another node owns the volume in {@code rivalEpoch}: nothing is written here any more. */
  public VolumeRecord forked(Epoch rivalEpoch) {
    return with(
        draft -> {
          draft.state = next(VolumeTransitions.Trigger.FORK);
          draft.replicas = Set.of();
          draft.rival = rivalEpoch;
        });
  }

  /** What a fork is and how to end it, for whoever meets it (FORKED only). */
  public String forkSentence() {
    String self = epoch.owner();
    return "volume "
        + name
        + " has two owners: node "
        + self
        + " in epoch "
        + epoch.number()
        + ", whose copy is parked, and node "
        + rival.owner()
        + " in epoch "
        + rival.number()
        + "; on node "
        + self
        + " save what is wanted with 'vmferry volume export "
        + name
        + " FILE', then 'vmferry volume delete "
        + name
        + "'";
  }

  /**
   * The new owner reported that it holds everything. Told again, it stays complete since the first
   * time: what is kept for a while is not kept for ever.
   */
  public VolumeRecord completeAt(String node, Instant now) {
    if (node.equals(completeAt)) {
      return this;
    }
    return with(
        draft -> {
          draft.completeAt = node;
          draft.completeSince = now;
        });
  }

  /** Larger. Whatever other replicas have is of another size: none of it counts any more. */
  public VolumeRecord grown(long newSize) {
    if (newSize < size) {
      throw new IllegalArgumentException("volume " + name + " can't shrink");
    }
    return with(
        draft -> {
          draft.size = newSize;
          draft.replicas = Set.of();
        });
  }

  /** That node keeps no replica any more. */
  public VolumeRecord withoutReplica(String node) {
    Set<String> nodes = new TreeSet<>(replicas);
    nodes.remove(node);
    return with(draft -> draft.replicas = nodes);
  }

  /** The domain that the volume belongs to, as the agent knows it. */
  public VolumeRecord withDomain(UUID newDomain) {
    return with(draft -> draft.domain = newDomain);
  }

  private VolumeState next(VolumeTransitions.Trigger trigger) {
    return VolumeTransitions.next(state, trigger);
  }

  private VolumeRecord with(Consumer<Draft> change) {
    Draft draft = new Draft(this);
    change.accept(draft);
    return draft.record();
  }

  /**
   * The next record while it is worked out: a change names what it changes, all else is copied
   * here. Which volume it is (name, UUID) never changes.
   */
  private static final class Draft {
    private final VolumeRecord before;
    private long size;
    private VolumeState state;
    private Epoch epoch;
    private Held held;
    private Origin origin;
    private UUID domain;
    private Set<String> replicas;
    private String completeAt;
    private Instant completeSince;
    private Release release;
    private Epoch promotedOver;
    private Epoch rival;
    private Source source;

    Draft(VolumeRecord before) {
      this.before = before;
      size = before.size;
      state = before.state;
      epoch = before.epoch;
      held = before.held;
      origin = before.origin;
      domain = before.domain;
      replicas = before.replicas;
      completeAt = before.completeAt;
      completeSince = before.completeSince;
      release = before.release;
      promotedOver = before.promotedOver;
      rival = before.rival;
      source = before.source;
    }

    VolumeRecord record() {
      return new VolumeRecord(
          before.name,
          before.uuid,
          size,
          state,
          epoch,
          held,
          origin,
          domain,
          replicas,
          completeAt,
          completeSince,
          release,
          promotedOver,
          rival,
          source);
    }
  }
}
