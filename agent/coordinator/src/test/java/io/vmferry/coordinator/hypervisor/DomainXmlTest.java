// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.hypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.UUID;
import org.junit.jupiter.api.Test;

class DomainXmlTest {
  private static final String SOCKET = "/run/vmferry/nbd.sock";
  private static final String UUID_TEXT = "6b6c7a2e-5a0e-4f0a-9d0e-2f4a9f1d3c11";

  private static String domain(String devices) {
    return domain("", devices);
  }

  private static String domain(String metadata, String devices) {
    return "<domain type='kvm'><name>web &amp; db</name><uuid>"
        + UUID_TEXT
        + "</uuid><metadata>"
        + metadata
        + "</metadata><devices>"
        + devices
        + "</devices></domain>";
  }

  private static String nbdDisk(String volume, String socket, String target) {
    return "<disk type='network' device='disk'><driver name='qemu'/><source protocol='nbd' name='"
        + volume
        + "'><host transport='unix' socket='"
        + socket
        + "'/></source><target dev='"
        + target
        + "' bus='virtio'/></disk>";
  }

  @Test
  void findsNameUuidAndDisks() throws Exception {
    DomainXml xml =
        DomainXml.parse(
            domain(nbdDisk("vol1", SOCKET, "vda") + nbdDisk("vol2", SOCKET, "vdb")), SOCKET);

    assertThat(xml.name()).isEqualTo("web & db");
    assertThat(xml.uuid()).isEqualTo(UUID.fromString(UUID_TEXT));
    assertThat(xml.disks())
        .containsExactly(new VmferryDisk("vol1", "vda"), new VmferryDisk("vol2", "vdb"));
    assertThat(xml.owner()).isNull();
  }

  @Test
  void ignoresNbdOnAnotherSocket() throws Exception {
    assertThat(DomainXml.parse(domain(nbdDisk("v", "/run/other.sock", "vda")), SOCKET).disks())
        .isEmpty();
  }

  @Test
  void ignoresNbdOverTcp() throws Exception {
    String disk =
        "<disk type='network'><source protocol='nbd' name='v'><host name='h' port='1'/></source>"
            + "<target dev='vda'/></disk>";
    assertThat(DomainXml.parse(domain(disk), SOCKET).disks()).isEmpty();
  }

  @Test
  void ignoresOtherProtocolsOnTheSocket() throws Exception {
    String disk =
        "<disk type='network'><source protocol='rbd' name='v'><host transport='unix' socket='"
            + SOCKET
            + "'/></source><target dev='vda'/></disk>";
    assertThat(DomainXml.parse(domain(disk), SOCKET).disks()).isEmpty();
  }

  @Test
  void ignoresFileDisksBesideOurs() throws Exception {
    String file = "<disk type='file'><source file='/x.img'/><target dev='vdb'/></disk>";
    assertThat(DomainXml.parse(domain(nbdDisk("v", SOCKET, "vda") + file), SOCKET).disks())
        .containsExactly(new VmferryDisk("v", "vda"));
  }

  private static String diskWith(String driver, String target) {
    return nbdDisk("v", SOCKET, target).replace("<driver name='qemu'/>", driver);
  }

  @Test
  void namesTheDisksThatLetTheGuestSeeErrors() throws Exception {
    String disks =
        nbdDisk("v", SOCKET, "vda")
            + diskWith("<driver error_policy='stop'/>", "vdb")
            + diskWith("<driver error_policy='stop' rerror_policy='stop'/>", "vdc")
            + diskWith("<driver error_policy='stop' rerror_policy='report'/>", "vdd")
            + diskWith("<driver error_policy='enospace' rerror_policy='stop'/>", "vde");
    assertThat(DomainXml.parse(domain(disks), SOCKET).failing())
        .containsExactly("vda", "vdd", "vde");
  }

  @Test
  void namesOtherDisksThatHaveSomethingInThem() throws Exception {
    String disks =
        "<disk type='file'><source file='/x.img'/><target dev='vda'/></disk>"
            + nbdDisk("v", SOCKET, "vdb")
            + "<disk type='file' device='cdrom'><target dev='sda'/></disk>"
            + "<disk type='file' device='cdrom'><source file='/x.iso'/><target dev='sdb'/></disk>";
    assertThat(DomainXml.parse(domain(disks), SOCKET).others()).containsExactly("vda", "sdb");
  }

  @Test
  void aDiskWithoutTargetIsADiskAllTheSame() throws Exception {
    String ours = nbdDisk("v", SOCKET, "vda").replace("<target dev='vda' bus='virtio'/>", "");
    DomainXml xml =
        DomainXml.parse(domain(ours + "<disk type='file'><source file='/x.img'/></disk>"), SOCKET);
    assertThat(xml.disks()).containsExactly(new VmferryDisk("v", null));
    assertThat(xml.failing()).containsExactly("without target");
    assertThat(xml.others()).containsExactly("without target");
  }

  @Test
  void countsTheMirrorOfABlockCopy() throws Exception {
    String disk =
        "<disk type='file'><source file='/x.img'/><mirror type='network' job='copy'>"
            + "<source protocol='nbd' name='v'><host transport='unix' socket='"
            + SOCKET
            + "'/></source></mirror><target dev='vda'/></disk>";
    assertThat(DomainXml.parse(domain(disk), SOCKET).disks())
        .containsExactly(new VmferryDisk("v", "vda"));
  }

  @Test
  void ignoresADiskInsideTheMetadata() throws Exception {
    String foreign = "<x:y xmlns:x='urn:x'>" + nbdDisk("v", SOCKET, "vda") + "</x:y>";
    assertThat(DomainXml.parse(domain(foreign, ""), SOCKET).disks()).isEmpty();
  }

  @Test
  void readsTheOwnerByNamespaceWhateverThePrefix() throws Exception {
    String metadata =
        "<f:domain xmlns:f='" + DomainXml.NAMESPACE + "'><f:owner node='hosta'/></f:domain>";
    assertThat(DomainXml.parse(domain(metadata, ""), SOCKET).owner()).isEqualTo("hosta");
  }

  @Test
  void ignoresAnOwnerOfAnotherNamespace() throws Exception {
    String metadata = "<f:domain xmlns:f='urn:other'><f:owner node='hosta'/></f:domain>";
    assertThat(DomainXml.parse(domain(metadata, ""), SOCKET).owner()).isNull();
  }

  @Test
  void readsWhatIsToBeCopiedBeforeItRunsElsewhere() throws Exception {
    String metadata =
        "<m:migration xmlns:m='" + DomainXml.MIGRATION_NAMESPACE + "' pre-copy='full'/>";
    assertThat(DomainXml.parse(domain(metadata, ""), SOCKET).preCopy()).isEqualTo("full");
    assertThat(DomainXml.parse(domain(""), SOCKET).preCopy()).isNull();
    String other = "<m:migration xmlns:m='urn:other' pre-copy='full'/>";
    assertThat(DomainXml.parse(domain(other, ""), SOCKET).preCopy()).isNull();
  }

  @Test
  void refusesADtd() {
    String xml = "<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>" + domain("");
    assertThatThrownBy(() -> DomainXml.parse(xml, SOCKET))
        .isInstanceOf(DomainXml.InvalidException.class)
        .hasMessageContaining("DTD");
  }

  @Test
  void refusesWhatIsNotXml() {
    assertThatThrownBy(() -> DomainXml.parse("hello", SOCKET))
        .isInstanceOf(DomainXml.InvalidException.class)
        .hasMessageContaining("can't be read");
  }

  @Test
  void refusesADomainWithoutUuid() {
    assertThatThrownBy(() -> DomainXml.parse("<domain><name>x</name></domain>", SOCKET))
        .isInstanceOf(DomainXml.InvalidException.class)
        .hasMessageContaining("without a UUID");
  }

  @Test
  void refusesABrokenUuid() {
    assertThatThrownBy(
            () -> DomainXml.parse("<domain><name>x</name><uuid>zz</uuid></domain>", SOCKET))
        .isInstanceOf(DomainXml.InvalidException.class);
  }

  @Test
  void escapesTheNodeInTheMetadata() {
    assertThat(DomainXml.ownerMetadata("a'<&\"b"))
        .isEqualTo("<domain><owner node='a&apos;&lt;&amp;&quot;b'/></domain>");
  }
}
