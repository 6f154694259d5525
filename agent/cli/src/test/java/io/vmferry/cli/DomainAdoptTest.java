// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeState;
import io.vmferry.cli.base.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Images become volumes and volumes images, or nothing changes. */
class DomainAdoptTest extends CliFixture {
  private static final String IMAGE =
      "<disk type='file' device='disk'><driver name='qemu' type='qcow2' io='native' queues='2'>"
          + "<metadata_cache><max_size>1</max_size></metadata_cache></driver>"
          + "<source file='/srv/%s.qcow2'><seclabel model='dac' relabel='no'/></source>"
          + "<backingStore/><target dev='%s' bus='scsi'/><serial>s</serial>%s"
          + "<address type='drive' controller='1' bus='0' target='0' unit='3'/></disk>";

  private static final String PASSWORD = "<graphics type='vnc' passwd='secret'/>";

  private final FakeVirsh virsh = new FakeVirsh("qemu:///system");
  private final List<List<String>> images = new ArrayList<>();

  /** The call of qemu-img that fails; 0 for none. */
  private int failing;

  private String before;
  private String socket;

  @BeforeEach
  void aShutOffDomain() throws IOException {
    startRelay();
    Files.createDirectories(directory.resolve("root/var/tmp"));
    processes = this::run;
    virsh.state = "shut off";
    socket = directory.resolve("run/nbd.sock").toString();
    define(image("vda"));
  }

  private static String image(String target) {
    return image(target, "");
  }

  private static String image(String target, String more) {
    return IMAGE.formatted(target, target, more);
  }

  private void define(String... devices) {
    virsh.add("web", devices);
    before = virsh.definition("web");
  }

  private Processes.Result run(List<String> command, boolean show) throws IOException {
    if (!command.get(0).equals("qemu-img")) {
      return virsh.run(command, show);
    }
    images.add(command);
    if (images.size() == failing) {
      return new Processes.Result(1, "", "qemu-img: No space left\n");
    }
    if (command.get(1).equals("info")) {
      return new Processes.Result(0, "{\"virtual-size\": 4096, \"format\": \"qcow2\"}", "");
    }
    String target = command.get(command.size() - 1);
    if (!target.startsWith("nbd")) {
      Files.writeString(Path.of(target), "image");
    }
    return new Processes.Result(0, "", "");
  }

  private Outcome adopt() {
    return run("domain", "adopt", "web");
  }

  private Outcome release() {
    return run("domain", "release", "web", "--directory", directory.toString());
  }

  private void assertUntouched() {
    assertThat(virsh.definition("web")).isEqualTo(before);
    assertThat(node.volumes).isEmpty();
    assertThat(interruptible).isEmpty();
  }

  private void assertRefused(String... words) {
    Outcome outcome = adopt();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).startsWith("vmferry: ").hasLineCount(1).contains(words);
    assertUntouched();
  }

  // ---- adopt

  @Test
  void anImageBecomesAVolumeAndTheDiskStaysWhatItIsForTheGuest() {
    assertThat(adopt())
        .isEqualTo(new Outcome(0, "vda is the volume web-vda; /srv/vda.qcow2 is kept\n", ""));
    assertThat(node.volumes.get("web-vda").size()).isEqualTo(4096);
    assertThat(virsh.definition("web"))
        .contains(
            "<disk device=\"disk\" type=\"network\"><driver cache=\"none\" discard=\"unmap\""
                + " error_policy=\"stop\" name=\"qemu\" queues=\"2\" rerror_policy=\"stop\""
                + " type=\"raw\"/><source name=\"web-vda\" protocol=\"nbd\"><host socket=\""
                + socket
                + "\" transport=\"unix\"/></source><target bus=\"scsi\" dev=\"vda\"/>"
                + "<serial>s</serial><address bus=\"0\" controller=\"1\" target=\"0\""
                + " type=\"drive\" unit=\"3\"/></disk>");
    assertThat(interruptible).isEmpty();
  }

  @Test
  void theFormatIsTheDomainsAndNothingIsGuessed() {
    adopt();
    assertThat(images)
        .containsExactly(
            List.of("qemu-img", "info", "--output=json", "-f", "qcow2", "/srv/vda.qcow2"),
            List.of(
                "qemu-img",
                "convert",
                "-t",
                "writeback",
                "-n",
                "--target-is-zero",
                "-f",
                "qcow2",
                "-O",
                "raw",
                "/srv/vda.qcow2",
                "nbd+unix:///web-vda?socket=" + socket));
  }

  @Test
  void aDiskWithoutADriverIsRaw() {
    define("<disk type='file'><source file='/srv/x'/><target dev='sda'/></disk>");
    adopt();
    assertThat(images.get(0)).containsSequence("-f", "raw");
    assertThat(virsh.definition("web"))
        .contains("<disk type=\"network\"><driver cache=\"none\"", "error_policy=\"stop\"");
  }

  @Test
  void secretsStayAndNobodyElseReadsThem() {
    define(image("vda"), PASSWORD);
    adopt();
    assertThat(virsh.definition("web")).contains("passwd=\"secret\"");
    assertThat(virsh.modes).containsExactly("rw-------");
  }

  @Test
  void anOwnerOfAnEarlierLifeIsForgotten() {
    assertThat(before).contains("<v:owner node='host-a'/>");
    adopt();
    assertThat(virsh.definition("web")).doesNotContain("owner").contains("<metadata/>");
  }

  @Test
  void whatCantBeAVolumeStaysAndIsNamed() {
    String volume = FakeVirsh.disk("db", socket, "vdg", FakeVirsh.STOP);
    define(
        image("vda"),
        "<disk type='file' device='cdrom'><target dev='sda'/></disk>",
        "<disk type='file' device='cdrom'><source file='/x.iso'/><target dev='sdb'/></disk>",
        "<disk type='block' device='disk'><source dev='/dev/sdx'/><target dev='vdb'/></disk>",
        image("vdc", "<readonly/>"),
        image("vdd", "<shareable/>"),
        image("vde", "<transient/>"),
        image("vdf", "<encryption format='luks'/>"),
        volume);
    assertThat(adopt().err())
        .isEqualTo(
            """
            vmferry: sdb stays as it is: it is a cdrom
            vmferry: vdb stays as it is: it is no file but of type block
            vmferry: vdc stays as it is: it has <readonly/>
            vmferry: vdd stays as it is: it has <shareable/>
            vmferry: vde stays as it is: it has <transient/>
            vmferry: vdf stays as it is: it has <encryption/>
            """);
    assertThat(node.volumes).containsOnlyKeys("web-vda");
    assertThat(virsh.definition("web")).contains("/x.iso", "/dev/sdx", "/srv/vdf.qcow2");
  }

  @Test
  void aDomainWithoutImagesIsRefused() {
    define();
    assertRefused("web has no disk that could become a volume", "virsh domblklist");
  }

  @Test
  void aRunningDomainIsRefused() {
    virsh.state = "running";
    assertRefused("web is running", "virsh shutdown web");
  }

  @Test
  void aTransientDomainIsRefused() {
    virsh.persistent = "no";
    assertRefused("has no definition", "virsh define");
  }

  @Test
  void aSavedDomainIsRefused() {
    virsh.managedSave = "yes";
    assertRefused("was saved while it ran", "virsh managedsave-remove web");
  }

  @Test
  void aDomainWithASnapshotIsRefused() {
    virsh.snapshots = "before-upgrade\n\n";
    assertRefused("the snapshot before-upgrade", "virsh snapshot-delete web before-upgrade");
  }

  @Test
  void aDomainWithACheckpointIsRefused() {
    virsh.checkpoints = "c1\n\n";
    assertRefused("the checkpoint c1", "virsh checkpoint-delete web c1");
  }

  @Test
  void anImageThatCantBeReadIsNoticedBeforeAnythingIsMade() {
    define(image("vda"), image("vdb"));
    failing = 2;
    assertRefused("can't read the image /srv/vdb.qcow2: No space left");
    assertThat(node.deletions).isEmpty();
  }

  @Test
  void aFailedImportUndoesTheOnesBefore() {
    define(image("vda"), image("vdb"));
    failing = 4;
    assertRefused("can't import /srv/vdb.qcow2");
    assertThat(node.deletions).containsExactlyInAnyOrder("web-vda", "web-vdb");
  }

  @Test
  void aVolumeThatExistsIsNeverTouched() {
    node.volumes.put("web-vda", FakeNode.serving("web-vda", 4096));
    assertThat(adopt().err()).contains("there is a volume web-vda already");
    assertThat(virsh.definition("web")).isEqualTo(before);
    assertThat(node.deletions).isEmpty();
  }

  @Test
  void aDefinitionThatLibvirtRefusesUndoesTheImport() {
    virsh.defineProblems.add("no");
    assertRefused("does not take the new definition of the domain web", "nothing is changed");
    assertThat(node.deletions).containsExactly("web-vda");
    assertNothingLeftInVarTmp();
  }

  @Test
  void aDomainThatIsStartedDuringTheImportKeepsItsImages() {
    virsh.states.addAll(List.of("shut off", "running"));
    assertRefused("web is running");
    assertThat(virsh.modes).as("never redefined").isEmpty();
  }

  @Test
  void aDomainThatIsStartedInTheLastMomentGetsItsDefinitionBack() {
    startedInTheLastMoment(before);
    assertRefused("web is running");
    assertThat(virsh.modes).as("defined and taken back").hasSize(2);
    assertNothingLeftInVarTmp();
  }

  @Test
  void aDomainThatIsStartedWithItsNewDisksKeepsThem() {
    startedInTheLastMoment(null);
    assertThat(adopt().exit()).isZero();
    assertThat(virsh.definition("web")).contains("web-vda");
    assertThat(node.volumes).containsOnlyKeys("web-vda");
    assertNothingLeftInVarTmp();
  }

  /** The volumes must go: what its guest writes from now on is not in them. */
  @Test
  void anOldDefinitionThatLibvirtDoesNotTakeBackIsInAFile() throws IOException {
    startedInTheLastMoment(before);
    virsh.defineProblems.addAll(List.of("", "no"));
    Outcome outcome = adopt();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .hasLineCount(1)
        .contains(
            "web was started meanwhile and runs with its old disks",
            "Failed to define domain: no; `virsh define " + oldDefinition() + "` brings the old");
    assertThat(node.deletions).containsExactly("web-vda");
    assertThat(oldDefinition()).hasContent(before);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(oldDefinition())))
        .isEqualTo("rw-------");
    assertThat(interruptible).isEmpty();
  }

  @Test
  void whenNobodyKnowsWhichDisksItHasNothingIsDeleted() throws IOException {
    virsh.states.addAll(List.of("shut off", "shut off", FakeVirsh.NO_ANSWER));
    Outcome outcome = adopt();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .hasLineCount(1)
        .contains(
            "web has its new definition, but whether it was started with its old disks",
            "failed to connect",
            "`virsh dumpxml web`",
            "`virsh define " + oldDefinition() + "`");
    assertThat(oldDefinition()).hasContent(before);
    assertThat(node.deletions).isEmpty();
  }

  @Test
  void aDefinitionThatWasTakenThoughVirshFailedKeepsItsVolumes() throws IOException {
    virsh.defineProblems.add("connection lost");
    virsh.takesAll = true;
    Outcome outcome = adopt();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .hasLineCount(1)
        .contains(
            "connection lost; whether it has it all the same is not known",
            "`virsh define " + oldDefinition() + "`");
    assertThat(virsh.definition("web")).contains("web-vda");
    assertThat(node.deletions).isEmpty();
  }

  /** After the last look before it gets its new definition, and seen by the one after that. */
  private void startedInTheLastMoment(String live) {
    virsh.states.addAll(List.of("shut off", "shut off"));
    virsh.state = "running";
    virsh.live = live;
  }

  private Path oldDefinition() throws IOException {
    return filesInVarTmp().get(0);
  }

  private void assertNothingLeftInVarTmp() {
    try {
      assertThat(filesInVarTmp()).isEmpty();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private List<Path> filesInVarTmp() throws IOException {
    try (Stream<Path> files = Files.list(directory.resolve("root/var/tmp"))) {
      return files.toList();
    }
  }

  @Test
  void aSignalUndoesWhatWasMade() {
    define(image("vda"), image("vdb"));
    processes =
        (command, show) -> {
          if (command.get(0).equals("qemu-img") && images.size() == 3) {
            List.copyOf(interruptible).forEach(Runnable::run);
            failing = 4;
          }
          return run(command, show);
        };
    assertThat(adopt().exit()).isEqualTo(1);
    assertThat(node.deletions).contains("web-vda", "web-vdb");
    assertUntouched();
  }

  // ---- release

  private void defineVolumes(String... names) {
    String[] disks = new String[names.length];
    for (int i = 0; i < names.length; i++) {
      node.volumes.put(names[i], FakeNode.serving(names[i], 4096));
      disks[i] = FakeVirsh.disk(names[i], socket, "vd" + (char) ('a' + i), FakeVirsh.STOP);
    }
    define(disks);
  }

  private void assertNotReleased(String... words) {
    Outcome outcome = release();
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).startsWith("vmferry: ").hasLineCount(1).contains(words);
    assertThat(virsh.definition("web")).isEqualTo(before);
    assertThat(interruptible).isEmpty();
  }

  @Test
  void aVolumeBecomesAnImageAndIsKept() {
    defineVolumes("db");
    Path file = directory.resolve("db.qcow2");
    assertThat(release())
        .isEqualTo(
            new Outcome(
                0,
                "vda is "
                    + file
                    + "; the volume is kept: `vmferry volume delete db` when it is not needed any"
                    + " more\n",
                ""));
    assertThat(file).hasContent("image");
    assertThat(virsh.definition("web"))
        .contains(
            "<disk device=\"disk\" type=\"file\"><driver name=\"qemu\" type=\"qcow2\"/>"
                + "<source file=\""
                + file
                + "\"/><target dev=\"vda\"/></disk>")
        .doesNotContain("owner");
    assertThat(node.volumes).containsOnlyKeys("db");
  }

  @Test
  void whatIsAdoptedCanBeReleased() {
    adopt();
    assertThat(release().exit()).isZero();
    assertThat(virsh.definition("web"))
        .contains("type=\"file\"", "web-vda.qcow2", "queues=\"2\"", "unit=\"3\"");
  }

  @Test
  void theImageMayBeRaw() {
    defineVolumes("db");
    run("domain", "release", "web", "--directory", directory.toString(), "--format", "raw");
    assertThat(directory.resolve("db.raw")).exists();
    assertThat(virsh.definition("web")).contains("type=\"raw\"");
  }

  @Test
  void aFileThatExistsIsNeverReplaced() throws IOException {
    defineVolumes("db", "log");
    Path file = Files.writeString(directory.resolve("log.qcow2"), "somebody's");
    assertNotReleased(file + " exists already", "--directory");
    assertThat(file).hasContent("somebody's");
    assertThat(images).isEmpty();
  }

  @Test
  void aVolumeThatIsOpenIsRefused() {
    defineVolumes("db");
    node.volumes.put(
        "db", FakeNode.volume("db", 4096, VolumeState.SERVING, 4096, 1, null, null, null));
    assertNotReleased("the volume db is open though web is shut off");
  }

  @Test
  void aVolumeOfAnotherNodeIsRefused() {
    defineVolumes("db");
    node.volumes.put(
        "db", FakeNode.volume("db", 4096, VolumeState.RELEASED, 4096, 0, null, null, null));
    assertNotReleased("export it there");
  }

  @Test
  void aDomainWithoutVolumesIsNotReleased() {
    assertNotReleased("web has no disk on " + socket);
  }

  @Test
  void aFailedExportRemovesTheImagesBefore() {
    defineVolumes("db", "log");
    failing = 2;
    assertNotReleased("can't export the volume log");
    assertThat(directory.resolve("db.qcow2")).doesNotExist();
    assertThat(directory.resolve("log.qcow2.part")).doesNotExist();
  }

  @Test
  void aDefinitionThatLibvirtRefusesRemovesTheImages() {
    defineVolumes("db");
    virsh.defineProblems.add("no");
    assertNotReleased("does not take the new definition");
    assertThat(directory.resolve("db.qcow2")).doesNotExist();
  }

  @Test
  void imagesOfADomainThatGotItsVolumesBackAreRemoved() {
    defineVolumes("db");
    startedInTheLastMoment(before);
    assertNotReleased("web is running");
    assertThat(directory.resolve("db.qcow2")).doesNotExist();
  }

  @Test
  void imagesThatADomainRunsWithAreNeverRemoved() {
    defineVolumes("db");
    startedInTheLastMoment(null);
    assertThat(release().exit()).isZero();
    assertThat(directory.resolve("db.qcow2")).hasContent("image");
  }
}
