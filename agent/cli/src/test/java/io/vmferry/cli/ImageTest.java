// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeState;
import io.vmferry.cli.base.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Import and export with a stand-in for qemu-img. */
class ImageTest extends CliFixture {
  private static final String RAW_INFO = "{\"virtual-size\": 4096, \"format\": \"raw\", \"x\": 1}";

  private final List<List<String>> commands = new ArrayList<>();
  private String info = RAW_INFO;
  private int convertExit;
  private Path image;

  @BeforeEach
  void start() throws IOException {
    startRelay();
    image = Files.writeString(directory.resolve("disk.img"), "image");
    processes = this::qemuImg;
  }

  /** Notes what it was asked, and writes the image if it was to. */
  private Processes.Result qemuImg(List<String> command, boolean show) throws IOException {
    commands.add(command);
    if (command.get(1).equals("info")) {
      return new Processes.Result(0, info, "");
    }
    String target = command.get(command.size() - 1);
    if (!target.startsWith("nbd")) {
      Files.writeString(Path.of(target), "half of it");
    }
    return new Processes.Result(
        convertExit, "", convertExit == 0 ? "" : "qemu-img: warning\nqemu-img: No space left\n");
  }

  private String uri(String volume) {
    return "nbd+unix:///" + volume + "?socket=" + directory + "/run/nbd.sock";
  }

  @Test
  void importMakesAVolumeOfTheImagesSizeAndFillsIt() {
    assertThat(run("volume", "import", "db", image.toString())).isEqualTo(new Outcome(0, "", ""));
    assertThat(node.volumes.get("db").size()).isEqualTo(4096);
    assertThat(commands)
        .containsExactly(
            List.of("qemu-img", "info", "--output=json", image.toString()),
            List.of(
                "qemu-img",
                "convert",
                "-t",
                "writeback",
                "-n",
                "--target-is-zero",
                "-f",
                "raw",
                "-O",
                "raw",
                image.toString(),
                uri("db")));
    assertThat(interruptible).isEmpty();
  }

  @Test
  void progressIsShownOnATerminal() {
    terminal = true;
    run("volume", "import", "db", image.toString());
    assertThat(commands.get(1)).contains("-p");
  }

  @Test
  void theFormatCanBeSaid() {
    info = "{\"virtual-size\": 4096, \"format\": \"qcow2\", \"backing-filename\": \"base\"}";
    run("volume", "import", "db", image.toString(), "--format", "qcow2");
    assertThat(commands.get(0)).containsSequence("-f", "qcow2");
    assertThat(commands.get(1)).containsSequence("-f", "qcow2", "-O", "raw");
  }

  @Test
  void aGuessedImageWithABackingFileIsRefused() {
    info = "{\"virtual-size\": 4096, \"format\": \"qcow2\", \"backing-filename\": \"/etc/shadow\"}";
    Outcome outcome = run("volume", "import", "db", image.toString());
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("/etc/shadow", "--format qcow2");
    assertThat(node.volumes).isEmpty();
  }

  @Test
  void anExistingVolumeIsNeverFilled() {
    node.volumes.put("db", FakeNode.serving("db", 4096));
    assertThat(run("volume", "import", "db", image.toString()).exit()).isEqualTo(1);
    assertThat(commands).hasSize(1);
    assertThat(node.deletions).isEmpty();
  }

  @Test
  void aFailedImportLeavesNoVolume() {
    convertExit = 1;
    Outcome outcome = run("volume", "import", "db", image.toString());
    assertThat(outcome)
        .isEqualTo(
            new Outcome(
                1,
                "",
                "vmferry: can't import "
                    + image
                    + " into the volume db: No space left; nothing is made: remove the cause, then try again\n"));
    assertThat(node.deletions).containsExactly("db");
    assertThat(interruptible).isEmpty();
  }

  @Test
  void theConnectionOfADeadQemuImgIsWaitedFor() {
    convertExit = 1;
    node.busyDeletions.set(2);
    run("volume", "import", "db", image.toString());
    assertThat(node.deletions).containsExactly("db");
    assertThat(pauses).containsExactly(200L, 200L);
  }

  @Test
  void aVolumeThatCanNotBeDeletedIsNamed() {
    convertExit = 1;
    node.busyDeletions.set(Integer.MAX_VALUE);
    Outcome outcome = run("volume", "import", "db", image.toString());
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("the unfinished volume db is left: the volume db is in use");
    assertThat(pauses).hasSize(9);
  }

  @Test
  void anInterruptedImportLeavesNoVolume() {
    processes =
        (command, show) -> {
          if (command.get(1).equals("convert")) {
            List.copyOf(interruptible).forEach(Runnable::run);
            assertThat(node.deletions).containsExactly("db");
            return new Processes.Result(130, "", "");
          }
          return qemuImg(command, show);
        };
    Outcome outcome = run("volume", "import", "db", image.toString());
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("qemu-img ended with status 130").hasLineCount(1);
  }

  @Test
  void aMissingQemuImgIsNamedWithItsPackage() {
    processes =
        (command, show) -> {
          throw new IOException("error=2");
        };
    assertThat(run("volume", "import", "db", image.toString()).err()).contains("qemu-utils");
  }

  @Test
  void anAnswerOfQemuImgThatMakesNoSenseIsRefused() {
    info = "{}";
    assertThat(run("volume", "import", "db", image.toString()).err())
        .startsWith("vmferry: can't understand what qemu-img says of ");
    assertThat(node.volumes).isEmpty();
  }

  @Test
  void exportWritesAWholeImage() {
    node.volumes.put("db", FakeNode.serving("db", 4096));
    Path target = directory.resolve("out.qcow2");
    assertThat(run("volume", "export", "db", target.toString(), "--format", "qcow2"))
        .isEqualTo(new Outcome(0, "", ""));
    assertThat(target).hasContent("half of it");
    assertThat(commands)
        .containsExactly(
            List.of(
                "qemu-img",
                "convert",
                "-t",
                "writeback",
                "-f",
                "raw",
                "-O",
                "qcow2",
                uri("db"),
                target + ".part"));
    assertThat(directory.resolve("out.qcow2.part")).doesNotExist();
  }

  @Test
  void exportNeverOverwritesUnlessForced() {
    node.volumes.put("db", FakeNode.serving("db", 4096));
    Outcome outcome = run("volume", "export", "db", image.toString());
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains(image + " exists already", "--force");
    assertThat(image).hasContent("image");
    assertThat(run("volume", "export", "db", image.toString(), "--force").exit()).isZero();
    assertThat(image).hasContent("half of it");
  }

  @Test
  void aFileThatAppearsMeanwhileIsKept() {
    node.volumes.put("db", FakeNode.serving("db", 4096));
    Path target = directory.resolve("out.img");
    processes =
        (command, show) -> {
          Files.writeString(target, "somebody else's");
          return qemuImg(command, show);
        };
    assertThat(run("volume", "export", "db", target.toString()).err())
        .contains(target + " exists already", "--force");
    assertThat(target).hasContent("somebody else's");
    assertThat(directory.resolve("out.img.part")).doesNotExist();
  }

  @Test
  void aFailedExportLeavesNoFile() {
    node.volumes.put("db", FakeNode.serving("db", 4096));
    convertExit = 1;
    Path target = directory.resolve("out.img");
    Outcome outcome = run("volume", "export", "db", target.toString());
    assertThat(outcome.err())
        .isEqualTo(
            "vmferry: can't export the volume db to "
                + target
                + ".part: No space left; nothing is made: remove the cause, then try again\n");
    assertThat(directory.resolve("out.img.part")).doesNotExist();
    assertThat(target).doesNotExist();
  }

  @Test
  void aReleasedVolumeIsNotExported() {
    node.volumes.put(
        "db", FakeNode.volume("db", 4096, VolumeState.RELEASED, 4096, 0, null, null, null));
    Outcome outcome = run("volume", "export", "db", directory.resolve("o").toString());
    assertThat(outcome.err()).contains("taken over by host-a", "export it there");
    assertThat(commands).isEmpty();
  }

  @Test
  void exportingAVolumeInUseWarns() {
    node.volumes.put(
        "db", FakeNode.volume("db", 4096, VolumeState.SERVING, 4096, 1, null, null, null));
    Outcome outcome = run("volume", "export", "db", directory.resolve("o").toString());
    assertThat(outcome.exit()).isZero();
    assertThat(outcome.err()).contains("the volume db is in use");
  }

  @Test
  void anUnknownFormatIsAUsageError() {
    Outcome outcome = run("volume", "export", "db", "x", "--format", "vmdk");
    assertThat(outcome.exit()).isEqualTo(2);
    assertThat(outcome.err()).contains("raw, qcow2");
  }
}
