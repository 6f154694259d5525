// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import io.vmferry.cli.base.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Answers as virsh does, for domains with disks of one's choice. */
final class FakeVirsh implements Processes {
  static final String STOP = "error_policy='stop' rerror_policy='stop'";

  private final List<String> prefix;
  private final Map<String, String> domains = new TreeMap<>();

  /** What operators added to the metadata of domains that are added from now on. */
  String metadata = "";

  String state = "running";

  /** What a domain does at the next looks; then {@link #state}. */
  final Deque<String> states = new ArrayDeque<>();

  String persistent = "yes";
  String managedSave = "no";
  String snapshots = "\n";
  String checkpoints = "\n";

  /** Why the next definitions are not taken, one each, empty for one that is; then all are. */
  final Deque<String> defineProblems = new ArrayDeque<>();

  /** Takes a definition though it says that it does not, as one whose answer is lost. */
  boolean takesAll;

  /** What a domain runs with, if that is not its definition; or null. */
  String live;

  /** The look at a domain's state that fails, beside those in {@link #states}. */
  static final String NO_ANSWER = "";

  /** File modes of the definitions that were taken. */
  final List<String> modes = new ArrayList<>();

  String version = "9.0.0";

  /** Status of a shell that finds no such program; null while there is one. */
  Integer missing;

  FakeVirsh(String uri) {
    prefix = List.of("env", "LC_ALL=C", "virsh", "--quiet", "--connect", uri);
  }

  /** A domain's name and the elements of its devices. */
  void add(String name, String... devices) {
    domains.put(
        name,
        "<domain type='kvm'><name>"
            + name
            + "</name><uuid>"
            + FakeNode.UUID_1
            + "</uuid><metadata><v:domain xmlns:v='https://vmferry.io/xmlns/domain/1'>"
            + "<v:owner node='host-a'/></v:domain>"
            + metadata
            + "</metadata><devices>"
            + String.join("", devices)
            + "</devices></domain>");
  }

  static String disk(String volume, String socket, String target, String policy) {
    return "<disk type='network' device='disk'><driver name='qemu' %s/>".formatted(policy)
        + "<source protocol='nbd' name='%s'><host transport='unix' socket='%s'/></source>"
            .formatted(volume, socket)
        + "<target dev='%s'/></disk>".formatted(target);
  }

  @Override
  public Result run(List<String> command, boolean show) {
    if (missing != null) {
      return new Result(missing, "", "env: 'virsh': No such file or directory\n");
    }
    if (!command.subList(0, Math.min(prefix.size(), command.size())).equals(prefix)) {
      throw new AssertionError("not expected: " + command);
    }
    List<String> arguments = new ArrayList<>(command.subList(prefix.size(), command.size()));
    String verb = arguments.remove(0);
    if (verb.equals("define")) {
      return define(arguments);
    }
    int flag = arguments.indexOf("--domain");
    String domain = flag < 0 ? null : arguments.remove(flag + 1);
    if (domain != null && !domains.containsKey(domain)) {
      return new Result(1, "", "error: failed to get domain '" + domain + "'\n");
    }
    return switch (verb + " " + String.join(" ", arguments)) {
      case "dumpxml --domain" -> new Result(0, live == null ? domains.get(domain) : live, "");
      case "dumpxml --inactive --security-info --domain" -> new Result(0, domains.get(domain), "");
      case "version --daemon" ->
          new Result(
              0, "Using library: libvirt 9.9.9\nRunning against daemon: " + version + "\n", "");
      case "domstate --domain" -> state(states.isEmpty() ? state : states.remove());
      case "dominfo --domain" ->
          new Result(
              0,
              "Id:             -\nName:           %s\nPersistent:     %s\nManaged save:   %s\n"
                  .formatted(domain, persistent, managedSave),
              "");
      case "snapshot-list --name --domain" -> new Result(0, snapshots, "");
      case "checkpoint-list --name --domain" -> new Result(0, checkpoints, "");
      default -> throw new AssertionError("not expected: " + command);
    };
  }

  private static Result state(String state) {
    return state.equals(NO_ANSWER)
        ? new Result(1, "", "error: failed to connect to the hypervisor\n")
        : new Result(0, state + "\n", "");
  }

  private Result define(List<String> arguments) {
    if (!arguments.get(0).equals("--file")) {
      throw new AssertionError("not expected: define " + arguments);
    }
    String problem = defineProblems.isEmpty() ? "" : defineProblems.remove();
    Result result =
        problem.isEmpty()
            ? new Result(0, "", "")
            : new Result(1, "", "error: Failed to define domain\nerror: " + problem + "\n");
    if (!problem.isEmpty() && !takesAll) {
      return result;
    }
    try {
      Path file = Path.of(arguments.get(1));
      modes.add(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
      String xml = Files.readString(file);
      domains.put(xml.replaceFirst("(?s).*<name>(.*)</name>.*", "$1"), xml);
      return result;
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** The definition of a domain as it is now. */
  String definition(String domain) {
    return domains.get(domain);
  }
}
