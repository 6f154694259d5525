// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import io.vmferry.cli.base.Processes;
import java.io.IOException;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The programs of a host that doctor asks, all of them content. */
final class FakeHost implements Processes {
  final FakeVirsh virsh = new FakeVirsh("qemu:///system");

  /** Programs that are not installed. */
  final Set<String> missing = new HashSet<>();

  /** Files that the relay's user can't read. */
  final Set<String> unreadable = new HashSet<>();

  /** What a program answers instead of its content. */
  final Map<String, Result> answers = new HashMap<>();

  /** Last start or reload of libvirtd; of virtqemud, null if it does not run. */
  Instant libvirtd = Instant.parse("2100-01-01T00:00:00Z");

  Instant virtqemud;

  @Override
  public Result run(List<String> command, boolean show) throws IOException {
    String program = command.get(0);
    if (missing.contains(program)) {
      throw new IOException("error=2, no " + program);
    }
    if (answers.containsKey(program)) {
      return answers.get(program);
    }
    return switch (program) {
      case "env" -> virsh.run(command, show);
      case "qemu-img" -> new Result(0, "qemu-img version 7.2\n", "");
      case "systemctl" ->
          new Result(0, unit("libvirtd", libvirtd) + "\n" + unit("virtqemud", virtqemud), "");
      case "id" ->
          command.equals(List.of("id", "-u", "libvirt-qemu"))
              ? new Result(0, "64055\n", "")
              : new Result(1, "", "id: no such user\n");
      case "runuser" ->
          new Result(unreadable.contains(command.get(command.size() - 1)) ? 1 : 0, "", "");
      case "semodule" -> new Result(0, "virt\nvmferry\n", "");
      default -> throw new AssertionError("not expected: " + command);
    };
  }

  private static String unit(String name, Instant since) {
    return since == null
        ? "Id=" + name + ".service\nActiveState=inactive\nStateChangeTimestamp=\n"
        : "Id=%s.service\nActiveState=active\nStateChangeTimestamp=@%d\n"
            .formatted(name, since.getEpochSecond());
  }
}
