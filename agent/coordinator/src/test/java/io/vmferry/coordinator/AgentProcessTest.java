// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.linecorp.armeria.server.annotation.Delete;
import com.linecorp.armeria.server.annotation.Get;
import com.linecorp.armeria.server.annotation.Param;
import com.linecorp.armeria.server.annotation.Post;
import com.sun.jna.NativeLibrary;
import io.vmferry.api.AgentClient;
import io.vmferry.api.AgentStatus;
import io.vmferry.api.AttachStandby;
import io.vmferry.api.ControlServer;
import io.vmferry.api.Epoch;
import io.vmferry.api.GuestStatus;
import io.vmferry.api.Problem;
import io.vmferry.api.ProblemException;
import io.vmferry.api.RelayStatus;
import io.vmferry.api.TimelineEvent;
import io.vmferry.api.VolumeState;
import io.vmferry.api.VolumeStatus;
import io.vmferry.config.Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.libvirt.Connect;
import org.libvirt.Domain;

/** The whole agent on libvirt's test driver and a relay made here, over both sockets. */
class AgentProcessTest {
  @TempDir Path run;
  private final UUID uuid = UUID.randomUUID();
  private final String volume = "vol-" + uuid;
  private final FakeRelayService relayService = new FakeRelayService();
  private AgentProcess agent;
  private AgentClient client;
  private ControlServer relay;
  private Connect admin;

  /** Keeps volumes as a relay would. */
  static final class FakeRelayService {
    final Map<String, VolumeState> volumes = new ConcurrentHashMap<>();
    final Map<String, UUID> domains = new ConcurrentHashMap<>();
    volatile String problem;

    @Get("/v1/status")
    public RelayStatus status() {
      List<VolumeStatus> statuses =
          volumes.entrySet().stream().map(e -> status(e.getKey(), e.getValue())).toList();
      return new RelayStatus("hostb", "0", statuses, List.of(), null);
    }

    private VolumeStatus status(String name, VolumeState state) {
      return new VolumeStatus(
          name,
          new UUID(1, 1),
          1,
          state,
          new Epoch(1, "hosta"),
          domains.get(name),
          0,
          0,
          0,
          null,
          List.of(),
          null,
          null,
          null,
          null);
    }

    @Post("/v1/standbys")
    public void attach(AttachStandby request) {
      if (problem != null) {
        throw new ProblemException(Problem.Code.OWNER_UNREACHABLE, problem);
      }
      request
          .volumes()
          .forEach(
              name -> {
                domains.put(name, request.domain());
                volumes.putIfAbsent(name, VolumeState.STANDBY);
              });
    }

    @Delete("/v1/standbys/{domain}")
    public void drop(@Param String domain) {
      volumes
          .entrySet()
          .removeIf(
              e ->
                  e.getValue() == VolumeState.STANDBY
                      && domains.get(e.getKey()).equals(UUID.fromString(domain)));
    }

    @Post("/v1/takeovers/{domain}")
    public void takeover(@Param String domain) {
      volumes.replaceAll(
          (name, state) ->
              domains.get(name).equals(UUID.fromString(domain)) ? VolumeState.FETCHING : state);
    }

    @Delete("/v1/volumes/{name}")
    public void delete(@Param String name) {
      volumes.remove(name);
    }
  }

  @BeforeAll
  static void libvirtIsHere() {
    boolean here;
    try {
      NativeLibrary.getInstance("virt");
      here = true;
    } catch (UnsatisfiedLinkError e) {
      here = false;
    }
    assumeTrue(here, "skipped: libvirt's client library is not installed (Debian: libvirt0)");
  }

  @BeforeEach
  void start() throws Exception {
    agent = AgentProcess.start(config(), "1.2.3");
    client = new AgentClient(run.resolve("agent.sock"));
    await().until(() -> client.status().join().libvirtUp());
    admin = new Connect("test:///default");
  }

  @AfterEach
  void stop() throws Exception {
    admin.close();
    client.close();
    agent.close();
    if (relay != null) {
      relay.close();
    }
  }

  private void startRelay() throws IOException {
    relay =
        ControlServer.start(
            run.resolve("relay.sock"), PosixFilePermissions.fromString("rw-------"), relayService);
  }

  private String xml() {
    return "<domain type='test'><name>vm-"
        + uuid
        + "</name><uuid>"
        + uuid
        + "</uuid><memory>8192</memory><os><type>hvm</type></os><devices>"
        + "<disk type='network' device='disk'><source protocol='nbd' name='"
        + volume
        + "'><host transport='unix' socket='"
        + run.resolve("nbd.sock")
        + "'/></source><target dev='vda' bus='virtio'/></disk></devices></domain>";
  }

  private HookScript.Result hook(String operation, String subOperation) throws Exception {
    return HookScript.run(
        "/bin/sh", System.getenv("PATH"), run, run, xml(), "vm", operation, subOperation, "-");
  }

  private Domain startDomain() throws Exception {
    return admin.domainCreateXML(xml(), 0);
  }

  @Test
  void answersItsStatus() throws Exception {
    startDomain();

    await()
        .untilAsserted(
            () -> {
              AgentStatus status = client.status().join();
              assertThat(status.node()).isEqualTo("hostb");
              assertThat(status.version()).isEqualTo("1.2.3");
              assertThat(status.libvirtUp()).isTrue();
              assertThat(status.problem()).isNull();
              assertThat(status.domains())
                  .contains(
                      new AgentStatus.DomainStatus(
                          "vm-" + uuid, uuid, "running", List.of(volume), 0, null));
            });
  }

  @Test
  void answersWhatTheGuestDoes() throws Exception {
    assertThat(client.guest(volume).join())
        .isEqualTo(new GuestStatus(GuestStatus.State.NONE, null, null));

    startDomain();

    assertThat(client.guest(volume).join())
        .isEqualTo(new GuestStatus(GuestStatus.State.ACTIVE, uuid, "vm-" + uuid));
  }

  @Test
  void attachesStartsAndTakesOver() throws Exception {
    startRelay();

    assertThat(hook("start", "begin")).isEqualTo(new HookScript.Result(0, "", ""));
    assertThat(relayService.volumes).containsEntry(volume, VolumeState.STANDBY);
    Domain domain = startDomain();

    await()
        .untilAsserted(
            () -> assertThat(relayService.volumes).containsEntry(volume, VolumeState.FETCHING));
    await().until(() -> domain.getXMLDesc(0).contains("<vmferry:owner node=\"hostb\"/>"));
  }

  @Test
  void dropsTheStandbyOfADomainThatDidNotCome() throws Exception {
    startRelay();
    hook("migrate", "begin");

    hook("release", "end");

    await().untilAsserted(() -> assertThat(relayService.volumes).isEmpty());
  }

  @Test
  void refusesWithTheReasonOfTheRelay() throws Exception {
    startRelay();
    relayService.problem = "volume v: hosta does not answer; check the link";

    assertThat(hook("migrate", "begin"))
        .isEqualTo(
            new HookScript.Result(
                1, "", "vmferry: domain vm-" + uuid + ": " + relayService.problem + "\n"));
  }

  @Test
  void refusesWithoutRelayAndSaysHowToStartIt() throws Exception {
    HookScript.Result result = hook("migrate", "begin");

    assertThat(result.status()).isEqualTo(1);
    assertThat(result.err())
        .startsWith("vmferry: domain vm-" + uuid)
        .contains("systemctl start vmferry-relay")
        .hasLineCount(1);
  }

  @Test
  void tellsWhatHappened() throws Exception {
    startRelay();
    hook("migrate", "begin");

    List<TimelineEvent> all = client.timeline(0).join();
    assertThat(all).anyMatch(e -> e.kind().equals("hook") && e.detail().equals("migrate begin"));
    long last = all.get(all.size() - 1).seq();
    assertThat(client.timeline(last).join()).allMatch(e -> e.seq() > last);
  }

  @Test
  void aSecondAgentIsRefusedAndTheFirstGoesOn() throws Exception {
    Config config = config();

    assertThatThrownBy(() -> AgentProcess.start(config, "2"))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("another process");
    assertThat(client.status().join().version()).isEqualTo("1.2.3");
  }

  @Test
  void removesItsSocketWhenItStops() {
    agent.close();

    assertThat(Files.exists(run.resolve("agent.sock"))).isFalse();
  }

  private Config config() throws Exception {
    return Config.parse(
        "test", "node: hostb\npaths:\n  run: " + run + "\nlibvirt:\n  uri: test:///default\n");
  }
}
