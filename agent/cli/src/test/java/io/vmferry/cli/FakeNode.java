// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import com.linecorp.armeria.server.annotation.Delete;
import com.linecorp.armeria.server.annotation.Get;
import com.linecorp.armeria.server.annotation.Param;
import com.linecorp.armeria.server.annotation.Post;
import com.linecorp.armeria.server.annotation.Put;
import io.vmferry.api.AgentStatus;
import io.vmferry.api.AttachCheck;
import io.vmferry.api.CheckAttach;
import io.vmferry.api.CreateVolume;
import io.vmferry.api.Epoch;
import io.vmferry.api.PeerProbe;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.PromoteVolume;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.RelayStatus.PeerStatus;
import io.vmferry.api.Reloaded;
import io.vmferry.api.SetRate;
import io.vmferry.api.VolumeLocation;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.api.VolumeStatus.FetchStatus;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** What relay and agent would answer, without disks and without libvirt. */
final class FakeNode {
  static final UUID UUID_1 = new UUID(0x1111, 0x2222);

  final Map<String, VolumeStatus> volumes = new TreeMap<>();
  final Map<String, VolumeLocation> locations = new ConcurrentHashMap<>();
  final List<PeerStatus> peers = new ArrayList<>();

  /** Why no location is known, or null. */
  volatile String locationProblem;

  final List<String> deletions = new ArrayList<>();
  final Relay relay = new Relay();
  final Agent agent = new Agent();
  final List<CheckAttach> checks = new ArrayList<>();
  volatile AttachCheck attachCheck = new AttachCheck(List.of(), List.of());
  volatile PeerProbe probe = probe(null, 0, 300, null);
  volatile Long rateLimit;

  /** Null: the file is refused. */
  volatile Reloaded reloaded = new Reloaded(List.of(), List.of());

  volatile String node = "host-a";

  /** How often a deletion is refused because a client is still there. */
  final AtomicInteger busyDeletions = new AtomicInteger();

  volatile AgentStatus agentStatus = new AgentStatus("host-a", "1.0", true, null, List.of());

  /** What host-b answers, or why it doesn't. */
  static PeerProbe probe(String problem, long skewMillis, int certificateDays, String wayBack) {
    return problem != null
        ? new PeerProbe("host-b", null, null, null, null, problem)
        : new PeerProbe(
            "host-b",
            20.0,
            skewMillis,
            CliFixture.NOW.plus(Duration.ofDays(certificateDays)),
            wayBack,
            null);
  }

  /** A complete volume. */
  static VolumeStatus serving(String name, long size) {
    return volume(name, size, VolumeState.SERVING, size, 0, null, null, null);
  }

  /** A volume in fetch mode. */
  static VolumeStatus fetching(String name, long size, long present, String waitingFor) {
    FetchStatus fetch =
        new FetchStatus("host-b", true, 1 << 20, present, 0, 0, present / 2, 50_000_000, 123L, 0);
    return volume(name, size, VolumeState.FETCHING, present, 1, fetch, waitingFor, null);
  }

  /** A retained copy. */
  static VolumeStatus completeElsewhere(String name, long size, Instant since) {
    return new VolumeStatus(
        name,
        UUID_1,
        size,
        VolumeState.RELEASED,
        new Epoch(4, "host-b"),
        null,
        0,
        size,
        size,
        null,
        List.of(),
        "host-b",
        since,
        null,
        null);
  }

  static VolumeStatus volume(
      String name,
      long size,
      VolumeState state,
      long present,
      int clients,
      FetchStatus fetch,
      String waitingFor,
      String failure) {
    return new VolumeStatus(
        name,
        UUID_1,
        size,
        state,
        new Epoch(3, "host-a"),
        null,
        clients,
        present,
        present,
        fetch,
        List.of(),
        null,
        null,
        waitingFor,
        failure);
  }

  private VolumeStatus find(String name) {
    VolumeStatus volume = volumes.get(name);
    if (volume == null) {
      throw new ProblemException(Problem.Code.NOT_FOUND, "there is no volume " + name);
    }
    return volume;
  }

  private Reloaded reloadedOr(String who) {
    if (reloaded == null) {
      throw new ProblemException(Problem.Code.REFUSED, who + ": nothing is changed: no node");
    }
    return reloaded;
  }

  /** relay.sock. */
  final class Relay {
    @Get("/v1/status")
    public RelayStatus status() {
      synchronized (volumes) {
        return new RelayStatus(node, "1.0", List.copyOf(volumes.values()), peers, rateLimit);
      }
    }

    @Get("/v1/volumes/{name}")
    public VolumeStatus volume(@Param String name) {
      return find(name);
    }

    @Get("/v1/volumes/{name}/location")
    public VolumeLocation location(@Param String name) {
      if (locationProblem != null) {
        throw new ProblemException(Problem.Code.OWNER_UNREACHABLE, locationProblem);
      }
      if (!locations.containsKey(name)) {
        throw new ProblemException(Problem.Code.NOT_FOUND, "there is no volume " + name);
      }
      return locations.get(name);
    }

    @Post("/v1/volumes")
    public VolumeStatus create(CreateVolume request) {
      if (volumes.containsKey(request.name())) {
        throw new ProblemException(
            Problem.Code.NAME_TAKEN, "there is a volume " + request.name() + " already");
      }
      VolumeStatus volume = serving(request.name(), request.size());
      volumes.put(request.name(), volume);
      return volume;
    }

    @Post("/v1/volumes/{name}/promotion")
    public VolumeStatus promote(@Param String name, PromoteVolume request) {
      VolumeStatus volume = find(name);
      if (!request.force()) {
        throw new ProblemException(Problem.Code.REFUSED, "all would be lost; --force does it");
      }
      volumes.put(name, serving(name, volume.size()));
      return find(name);
    }

    @Delete("/v1/volumes/{name}")
    public void delete(@Param String name) {
      find(name);
      if (busyDeletions.getAndUpdate(left -> Math.max(0, left - 1)) > 0) {
        throw new ProblemException(Problem.Code.IN_USE, "the volume " + name + " is in use");
      }
      volumes.remove(name);
      deletions.add(name);
    }

    @Post("/v1/attach-checks")
    public AttachCheck check(CheckAttach request) {
      checks.add(request);
      return attachCheck;
    }

    @Get("/v1/peers/{name}/probe")
    public PeerProbe probe(@Param String name) {
      return probe;
    }

    @Post("/v1/reload")
    public Reloaded reload() {
      return reloadedOr("relay");
    }

    @Put("/v1/rate")
    public void rate(SetRate request) {
      rateLimit = request.bytesPerSecond();
    }
  }

  /** agent.sock. */
  final class Agent {
    @Get("/v1/status")
    public AgentStatus status() {
      return agentStatus;
    }

    @Post("/v1/reload")
    public Reloaded reload() {
      return reloadedOr("agent");
    }
  }
}
