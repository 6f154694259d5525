// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import com.fasterxml.jackson.annotation.JsonInclude;
import io.vmferry.api.Epoch;
import io.vmferry.api.VolumeState;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;

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
 * @param completeAt node that took over and reported to hold everything (RELEASED only), or null
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
    String completeAt) {

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

  public VolumeRecord {
    replicas = replicas == null ? Set.of() : Set.copyOf(replicas);
  }

  /** A new volume, owned here, complete: all holes. */
  public static VolumeRecord created(String name, UUID uuid, long size, String node) {
    return new VolumeRecord(
        name,
        uuid,
        size,
        VolumeState.SERVING,
        new Epoch(1, node),
        Held.ALL,
        null,
        null,
        Set.of(),
        null);
  }

  /** A new standby of a volume that is owned elsewhere. */
  public static VolumeRecord standby(
      String name, UUID uuid, long size, Epoch ownersEpoch, UUID domain) {
    return new VolumeRecord(
        name,
        uuid,
        size,
        VolumeState.STANDBY,
        ownersEpoch,
        Held.NONE,
        null,
        domain,
        Set.of(),
        null);
  }

  /** A retained replica, attached to the owner again. */
  public VolumeRecord attached(Epoch ownersEpoch, UUID newDomain) {
    return new VolumeRecord(
        name,
        uuid,
        size,
        next(VolumeTransitions.Trigger.ATTACH),
        ownersEpoch,
        held,
        origin,
        newDomain,
        Set.of(),
        completeAt);
  }

  /** A standby whose owner or domain changed. */
  public VolumeRecord reattached(Epoch ownersEpoch, UUID newDomain) {
    return new VolumeRecord(
        name, uuid, size, state, ownersEpoch, held, origin, newDomain, Set.of(), completeAt);
  }

  /** A standby that goes back to being a retained replica. */
  public VolumeRecord dropped() {
    return new VolumeRecord(
        name,
        uuid,
        size,
        next(VolumeTransitions.Trigger.DROP),
        epoch,
        held,
        origin,
        null,
        Set.of(),
        completeAt);
  }

  /** Owner from {@code newEpoch} on, fetching what it lacks from {@code from}. */
  public VolumeRecord takenOver(Epoch newEpoch, String from) {
    return new VolumeRecord(
        name,
        uuid,
        size,
        next(VolumeTransitions.Trigger.TAKE_OVER),
        newEpoch,
        Held.JOURNAL,
        new Origin(from, newEpoch),
        domain,
        Set.of(from),
        null);
  }

  /**
   * Complete; the origin stays noted until it knows. A replica that is not owner keeps its state.
   */
  public VolumeRecord completed() {
    return new VolumeRecord(
        name,
        uuid,
        size,
        state == VolumeState.FETCHING ? next(VolumeTransitions.Trigger.COMPLETE) : state,
        epoch,
        Held.ALL,
        origin,
        domain,
        replicas,
        completeAt);
  }

  /**
   * The origin is of no use any more: it knows that this replica is complete, or took over itself.
   */
  public VolumeRecord withoutOrigin() {
    return new VolumeRecord(
        name, uuid, size, state, epoch, held, null, domain, replicas, completeAt);
  }

  /** Released to the owner of {@code newEpoch}. */
  public VolumeRecord released(Epoch newEpoch) {
    boolean originIsOwner = origin != null && origin.node().equals(newEpoch.owner());
    return new VolumeRecord(
        name,
        uuid,
        size,
        next(VolumeTransitions.Trigger.RELEASE),
        newEpoch,
        held,
        originIsOwner ? null : origin,
        domain,
        Set.of(),
        null);
  }

  /** The new owner reported that it holds everything. */
  public VolumeRecord completeAt(String node) {
    return new VolumeRecord(name, uuid, size, state, epoch, held, origin, domain, replicas, node);
  }

  /** Another node keeps a replica from now on. */
  public VolumeRecord withReplica(String node) {
    Set<String> nodes = new TreeSet<>(replicas);
    nodes.add(node);
    return new VolumeRecord(
        name, uuid, size, state, epoch, held, origin, domain, nodes, completeAt);
  }

  /** That node keeps no replica any more. */
  public VolumeRecord withoutReplica(String node) {
    Set<String> nodes = new TreeSet<>(replicas);
    nodes.remove(node);
    return new VolumeRecord(
        name, uuid, size, state, epoch, held, origin, domain, nodes, completeAt);
  }

  /** The domain that the volume belongs to, as the agent knows it. */
  public VolumeRecord withDomain(UUID newDomain) {
    return new VolumeRecord(
        name, uuid, size, state, epoch, held, origin, newDomain, replicas, completeAt);
  }

  private VolumeState next(VolumeTransitions.Trigger trigger) {
    return VolumeTransitions.next(state, trigger);
  }
}
