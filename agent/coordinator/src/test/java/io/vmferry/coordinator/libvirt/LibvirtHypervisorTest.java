// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.libvirt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.jna.NativeLibrary;
import io.vmferry.coordinator.hypervisor.DomainEvent;
import io.vmferry.coordinator.hypervisor.DomainInfo;
import io.vmferry.coordinator.hypervisor.DomainState;
import io.vmferry.coordinator.hypervisor.Hypervisor;
import io.vmferry.coordinator.hypervisor.HypervisorException;
import io.vmferry.coordinator.hypervisor.VmferryDisk;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.libvirt.Connect;
import org.libvirt.Domain;
import org.libvirt.LibvirtException;

/** Against libvirt's test driver, which lives in the library and needs no daemon. */
class LibvirtHypervisorTest {
  private static final String URI = "test:///default";
  private static final String SOCKET = "/run/vmferry/nbd.sock";

  private final Recorder recorder = new Recorder();
  private final UUID uuid = UUID.randomUUID();
  private final String name = "vm-" + uuid;
  private Connect admin;
  private LibvirtHypervisor hypervisor;

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
  void connect() throws LibvirtException {
    LibvirtEventLoop.ensureStarted();
    admin = new Connect(URI);
    hypervisor = new LibvirtHypervisor(URI, SOCKET);
    hypervisor.start(recorder);
    await().until(() -> hypervisor.problem() == null);
  }

  @AfterEach
  void disconnect() throws LibvirtException {
    if (hypervisor != null) {
      hypervisor.close();
    }
    if (admin != null) {
      admin.close();
    }
  }

  private String xml(String volume) {
    return "<domain type='test'><name>"
        + name
        + "</name><uuid>"
        + uuid
        + "</uuid><memory>8192</memory><os><type>hvm</type></os><devices>"
        + "<disk type='network' device='disk'><source protocol='nbd' name='"
        + volume
        + "'><host transport='unix' socket='"
        + SOCKET
        + "'/></source><target dev='vda' bus='virtio'/></disk></devices></domain>";
  }

  private Domain startTransient() throws LibvirtException {
    return admin.domainCreateXML(xml("vol-" + uuid), 0);
  }

  private DomainInfo info() {
    return hypervisor.domain(uuid).join().orElseThrow();
  }

  @Test
  void readsARunningTransientDomain() throws Exception {
    startTransient();

    assertThat(info())
        .isEqualTo(
            new DomainInfo(
                uuid,
                name,
                true,
                DomainState.RUNNING,
                List.of(new VmferryDisk("vol-" + uuid, "vda")),
                List.of(),
                null));
  }

  @Test
  void readsADomainThatIsOnlyDefined() throws Exception {
    admin.domainDefineXML(xml("vol-" + uuid));

    assertThat(info().active()).isFalse();
    assertThat(info().state()).isEqualTo(DomainState.SHUT_OFF);
    assertThat(info().definedVolumes()).containsExactly("vol-" + uuid);
    assertThat(hypervisor.activeUsers("vol-" + uuid).join()).isEmpty();
  }

  @Test
  void findsActiveUsersOfAVolume() throws Exception {
    startTransient();

    assertThat(hypervisor.activeUsers("vol-" + uuid).join())
        .extracting(DomainInfo::uuid)
        .containsExactly(uuid);
    assertThat(hypervisor.activeUsers("other").join()).isEmpty();
  }

  @Test
  void listsOnlyDomainsWithVmferryDisks() throws Exception {
    startTransient();

    // The driver's own domain "test" has none.
    assertThat(hypervisor.domains().join()).extracting(DomainInfo::name).contains(name);
    assertThat(hypervisor.domains().join()).extracting(DomainInfo::name).doesNotContain("test");
  }

  @Test
  void anUnknownDomainIsEmpty() {
    assertThat(hypervisor.domain(UUID.randomUUID()).join()).isEmpty();
  }

  @Test
  void setsTheOwnerOfATransientDomain() throws Exception {
    startTransient();

    hypervisor.setOwner(uuid, "hosta").join();

    assertThat(info().owner()).isEqualTo("hosta");
  }

  @Test
  void setsTheOwnerInTheDefinitionToo() throws Exception {
    Domain domain = admin.domainDefineXML(xml("vol-" + uuid));
    domain.create();

    hypervisor.setOwner(uuid, "hosta").join();
    domain.destroy();

    assertThat(info().active()).isFalse();
    assertThat(info().owner()).isEqualTo("hosta");
  }

  @Test
  void replacesTheOwner() throws Exception {
    startTransient();
    hypervisor.setOwner(uuid, "hosta").join();

    hypervisor.setOwner(uuid, "hostb").join();

    assertThat(info().owner()).isEqualTo("hostb");
  }

  @Test
  void resumesAPausedDomain() throws Exception {
    Domain domain = startTransient();
    domain.suspend();
    assertThat(info().state()).isEqualTo(DomainState.PAUSED);

    hypervisor.resume(uuid).join();

    assertThat(info().state()).isEqualTo(DomainState.RUNNING);
  }

  @Test
  void commandsOnAGoneDomainFail() {
    assertThatThrownBy(() -> hypervisor.resume(UUID.randomUUID()).join())
        .isInstanceOf(CompletionException.class)
        .hasCauseInstanceOf(HypervisorException.class)
        .hasMessageContaining("not here any more");
  }

  @Test
  void readsDiskErrors() throws Exception {
    startTransient();

    // The test driver makes up an error for the first disk of every domain.
    assertThat(hypervisor.diskErrors(uuid).join()).containsExactly("vda");
  }

  @Test
  void diskErrorsOfAGoneDomainFail() {
    assertThatThrownBy(() -> hypervisor.diskErrors(UUID.randomUUID()).join())
        .hasCauseInstanceOf(HypervisorException.class)
        .hasMessageContaining("can't find the domain");
  }

  @Test
  void noJobOnADomainThatIsNotHere() {
    assertThat(hypervisor.jobActive(UUID.randomUUID()).join()).isFalse();
  }

  @Test
  void deliversLifecycleEvents() throws Exception {
    Domain domain = startTransient();
    domain.suspend();
    domain.resume();
    domain.destroy();

    await()
        .untilAsserted(
            () ->
                assertThat(recorder.kindsOf(uuid))
                    .containsExactly(
                        DomainEvent.Kind.STARTED,
                        DomainEvent.Kind.SUSPENDED,
                        DomainEvent.Kind.RESUMED,
                        DomainEvent.Kind.STOPPED));
    assertThat(recorder.events).anyMatch(e -> e.domain().equals(uuid) && e.name().equals(name));
  }

  @Test
  void eventsSurviveGarbageCollection() throws Exception {
    System.gc();
    startTransient();

    await().until(() -> recorder.kindsOf(uuid).contains(DomainEvent.Kind.STARTED));
  }

  @Test
  void closedFailsAtOnce() {
    hypervisor.close();
    await().until(() -> hypervisor.problem() != null);

    assertThatThrownBy(() -> hypervisor.domains().join())
        .hasCauseInstanceOf(HypervisorException.class)
        .hasMessageContaining("stopping");
  }

  @Test
  void anAbsentDaemonIsAProblemAndNotAnError(@TempDir Path directory) {
    String uri = "qemu+unix:///system?socket=" + directory.resolve("none");
    try (LibvirtHypervisor absent = new LibvirtHypervisor(uri, SOCKET)) {
      absent.start(recorder);

      await().until(() -> absent.problem().contains("is libvirtd running?"));
      assertThatThrownBy(() -> absent.domains().join())
          .hasCauseInstanceOf(HypervisorException.class)
          .hasMessageContaining("can't connect to libvirt at " + uri);
    }
  }

  private static final class Recorder implements Hypervisor.Listener {
    final List<DomainEvent> events = new CopyOnWriteArrayList<>();

    @Override
    public void connected() {}

    @Override
    public void disconnected(String reason) {}

    @Override
    public void event(DomainEvent event) {
      events.add(event);
    }

    List<DomainEvent.Kind> kindsOf(UUID domain) {
      return events.stream()
          .filter(event -> event.domain().equals(domain))
          .map(DomainEvent::kind)
          .toList();
    }
  }
}
