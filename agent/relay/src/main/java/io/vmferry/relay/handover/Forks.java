// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.handover;

import io.vmferry.relay.handover.Locator.Found;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.volume.Volume;
import io.vmferry.relay.volume.VolumeRecord;
import io.vmferry.relay.volume.Volumes;
import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds out that another node owns a volume that is owned here, which a promotion by force leads
 * to, and parks the replica here.
 *
 * <p>An owner gives up ownership durably before another node takes it, so a second owner of the
 * same or a later epoch never comes from a handover. Of an earlier epoch it is the other node that
 * will park its replica. With the same number both do: nobody guesses which one is wanted. Peers
 * are asked when their link comes up, and again and again, because a link may have been up in one
 * direction only when the promotion was made. Loop only.
 */
public final class Forks {
  private static final Logger log = LoggerFactory.getLogger(Forks.class);

  /** How long two owners that can reach each other may go unnoticed. */
  private static final Duration INTERVAL = Duration.ofSeconds(30);

  /** A full disk is no reason to go on writing: the volume stays parked. */
  private static final Duration RETRY = Duration.ofSeconds(1);

  /** Names in one question; each has 128 bytes at most, and a request 1 MiB. */
  private static final int MAX_NAMES = 4096;

  private final Volumes volumes;
  private final Peers peers;
  private final Locator locator;
  private final Set<Volume> parking = new HashSet<>();

  public Forks(Volumes volumes, Peers peers) {
    this.volumes = volumes;
    this.peers = peers;
    this.locator = new Locator(volumes.shared().loop());
  }

  /** Begins to ask. */
  public void start() {
    peers.each(link -> link.onUp(volumes.shared().loop(), () -> look(link)));
    lookAgainAndAgain();
  }

  private void lookAgainAndAgain() {
    volumes
        .shared()
        .loop()
        .after(
            INTERVAL,
            () -> {
              peers.links().stream().filter(PeerLink::up).forEach(this::look);
              lookAgainAndAgain();
            });
  }

  private void look(PeerLink link) {
    List<String> owned =
        volumes.all().stream()
            .filter(Volume::isOwner)
            .map(volume -> volume.record().name())
            .toList();
    for (int from = 0; from < owned.size(); from += MAX_NAMES) {
      List<String> names = owned.subList(from, Math.min(owned.size(), from + MAX_NAMES));
      var unused =
          locator
              .ask(List.of(link), names)
              .thenAccept(answers -> answers.found().forEach(this::met));
    }
  }

  /** A peer described one of its replicas. */
  void met(Found found) {
    Volume here = volumes.byName(found.replica().getName());
    if (here != null && isRival(here, found) && parking.add(here)) {
      log.error(
          "volume {} is owned by node {} in epoch {} and here in epoch {}: it was promoted there;"
              + " this replica is parked",
          here.record().name(),
          found.node(),
          found.number(),
          here.record().epoch().number());
      here.setTrouble("node " + found.node() + " owns this volume too; parking this replica");
      park(here, found);
    }
  }

  /** Seen from an owner: the later epoch wins, and nobody wins with the same number. */
  private static boolean isRival(Volume here, Found found) {
    return here.isOwner()
        && found.isOwner()
        && found.isOf(here.record().uuid())
        && found.number() >= here.record().epoch().number();
  }

  private void park(Volume here, Found rival) {
    here.quiesce(
        error -> {
          if (error != null) {
            retry(here, rival, error);
          } else {
            commit(here, rival);
          }
        });
  }

  private void commit(Volume here, Found rival) {
    volumes
        .commits()
        .<VolumeRecord>submit(
            () -> {
              if (!isRival(here, rival)) {
                return null;
              }
              VolumeRecord forked = here.record().forked(rival.epoch());
              return () -> {
                volumes.shared().storage().commit(List.of(forked));
                return forked;
              };
            },
            (forked, error) -> {
              if (error != null) {
                retry(here, rival, error);
                return;
              }
              parking.remove(here);
              here.setTrouble(null);
              if (forked == null) {
                here.resume();
              } else {
                here.record().replicas().forEach(here.replicas()::remove);
                here.become(forked);
              }
            });
  }

  /** Guest I/O stays parked: what it writes now would be written to the wrong copy. */
  private void retry(Volume here, Found rival, IOException error) {
    log.error("volume {} can't be parked durably: {}", here.record().name(), error.getMessage());
    if (here.failure() != null) {
      parking.remove(here);
      return;
    }
    volumes.shared().loop().after(RETRY, () -> park(here, rival));
  }
}
