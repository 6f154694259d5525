// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.api.VolumeState;
import java.io.IOException;
import java.time.Instant;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class VolumeTest extends CliFixture {
  private static final long GIB = 1L << 30;

  @BeforeEach
  void start() throws IOException {
    startRelay();
  }

  @Test
  void createSendsTheSizeInBytes() {
    assertThat(run("volume", "create", "db", "--size", "10G")).isEqualTo(new Outcome(0, "", ""));
    assertThat(node.volumes.get("db").size()).isEqualTo(10 * GIB);
  }

  @Test
  void aWrongSizeIsAUsageError() {
    Outcome outcome = run("volume", "create", "db", "--size", "10GB");
    assertThat(outcome.exit()).isEqualTo(2);
    assertThat(outcome.err()).startsWith("vmferry: --size: '10GB' is not a size; allowed: ");
    assertThat(node.volumes).isEmpty();
  }

  @Test
  void aTakenNameIsRefusedInTheRelaysWords() {
    node.volumes.put("db", FakeNode.serving("db", GIB));
    assertThat(run("volume", "create", "db", "--size", "1G"))
        .isEqualTo(new Outcome(1, "", "vmferry: there is a volume db already\n"));
  }

  @Test
  void listShowsReplicas() {
    node.volumes.put("db", FakeNode.serving("db", GIB));
    assertThat(run("volume", "list").out()).startsWith("VOLUME").contains("db      SERVING");
  }

  @Test
  void aRetainedCopyIsShownWithTheTimeSinceItIsOne() {
    Instant since = Instant.parse("2026-11-21T12:00:00.123Z");
    node.volumes.put("db", FakeNode.completeElsewhere("db", GIB, since));
    assertThat(run("volume", "list").out())
        .contains("complete at host-b since 2026-11-21T12:00:00Z: this replica may be deleted");
    assertThat(run("volume", "show", "db").out())
        .contains("complete at: host-b since 2026-11-21T12:00:00Z\n");
    assertThat(run("status", "--json").out())
        .contains("\"completeAt\" : \"host-b\"")
        .contains("\"completeSince\" : \"2026-11-21T12:00:00.123Z\"");
  }

  @Test
  void promoteSaysWhatWouldBeLostAndDoesItByForce() {
    node.volumes.put("db", FakeNode.completeElsewhere("db", GIB, null));
    assertThat(run("volume", "promote", "db"))
        .isEqualTo(new Outcome(1, "", "vmferry: all would be lost; --force does it\n"));
    assertThat(node.volumes.get("db").state()).isEqualTo(VolumeState.RELEASED);
    assertThat(run("volume", "promote", "db", "--force"))
        .isEqualTo(new Outcome(0, "the volume db is owned here, in epoch 3\n", ""));
    assertThat(node.volumes.get("db").state()).isEqualTo(VolumeState.SERVING);
  }

  @Test
  void showNamesEveryAmount() {
    node.volumes.put("db", FakeNode.fetching("db", GIB, GIB / 2, "the link"));
    assertThat(run("volume", "show", "db").out())
        .isEqualTo(
            """
            name:        db
            uuid:        00000000-0000-1111-0000-000000002222
            state:       FETCHING
            size:        1.00 GiB (1073741824 bytes)
            present:     512 MiB (536870912 bytes), 50.0 %
            on disk:     512 MiB (536870912 bytes)
            epoch:       3@host-a
            clients:     1
            origin:      host-b
            on demand:   1.00 MiB (1048576 bytes)
            background:  512 MiB (536870912 bytes)
            holes:       0 B (0 bytes)
            overwritten: 0 B (0 bytes)
            on the wire: 256 MiB (268435456 bytes)
            rate:        47.7 MiB/s
            waiting:     0 requests
            eta:         2:03
            waits for:   the link
            """);
  }

  @Test
  void showRefusesAnUnknownVolume() {
    assertThat(run("volume", "show", "x").err()).isEqualTo("vmferry: there is no volume x\n");
  }

  @Test
  void showNamesAFailure() {
    node.volumes.put(
        "db", FakeNode.volume("db", GIB, VolumeState.SERVING, GIB, 0, null, null, "disk full"));
    assertThat(run("volume", "show", "db").out()).contains("failure:     disk full\n");
  }

  @Test
  void deleteDeletes() {
    node.volumes.put("db", FakeNode.serving("db", GIB));
    assertThat(run("volume", "delete", "db").exit()).isZero();
    assertThat(node.deletions).containsExactly("db");
  }

  @Test
  void aVolumeInUseIsNotDeleted() {
    node.volumes.put("db", FakeNode.serving("db", GIB));
    node.busyDeletions.set(1);
    assertThat(run("volume", "delete", "db"))
        .isEqualTo(new Outcome(1, "", "vmferry: the volume db is in use\n"));
  }

  @Test
  void diskXmlIsWhatLibvirtTakes() {
    assertThat(run("volume", "disk-xml", "db").out())
        .isEqualTo(
            """
            <disk type='network' device='disk'>
              <driver name='qemu' type='raw' cache='none' discard='unmap' error_policy='stop' rerror_policy='stop'/>
              <source protocol='nbd' name='db'>
                <host transport='unix' socket='%s/run/nbd.sock'/>
              </source>
              <target dev='vda' bus='virtio'/>
            </disk>
            """
                .formatted(directory));
  }

  @Test
  void diskXmlIsEscaped() {
    assertThat(run("volume", "disk-xml", "a'<&b", "--target", "vdb").out())
        .contains("name='a&apos;&lt;&amp;b'>", "<target dev='vdb' ");
  }
}
