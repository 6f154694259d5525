// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Hello;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.util.function.Predicate;

/** Who may speak which version in which role. Both sides decide by the same rules. */
final class HelloRules {
  /** Oldest version of the protocol that this software speaks. */
  static final int VERSION_MIN = 1;

  /** Newest version of the protocol that this software speaks. */
  static final int VERSION_MAX = 1;

  private HelloRules() {}

  static Frame hello(long id, String node, Role role, String software) {
    Hello hello =
        Hello.newBuilder()
            .setVersionMin(VERSION_MIN)
            .setVersionMax(VERSION_MAX)
            .setNode(node)
            .setRole(role)
            .setSoftware(software)
            .build();
    return Frame.newBuilder().setId(id).setLast(true).setHello(hello).build();
  }

  /**
   * The listening side's decision on the first frame.
   *
   * @param certified name in the certificate of the connecting node
   * @param known whether a node is a configured peer
   * @return null if the connection is accepted
   */
  static Refused refusal(Frame first, String self, String certified, Predicate<String> known) {
    if (!first.hasHello()) {
      return RequestRules.refused(
          Refused.Code.BAD_REQUEST, "the first frame must be HELLO, not " + first.getBodyCase());
    }
    Hello hello = first.getHello();
    String problem = versionProblem(self, hello);
    if (problem != null) {
      return RequestRules.refused(Refused.Code.VERSION, problem);
    }
    if (!hello.getNode().equals(certified)) {
      return RequestRules.refused(
          Refused.Code.BAD_REQUEST,
          "the hello says node '"
              + hello.getNode()
              + "', the certificate says '"
              + certified
              + "'; correct the node name in the configuration, or issue a certificate for it");
    }
    if (!known.test(certified)) {
      return RequestRules.refused(
          Refused.Code.NOT_FOUND,
          "node '" + certified + "' isn't among the peers of " + self + "; add it to them");
    }
    return switch (hello.getRole()) {
      case CONTROL, DEMAND, BULK -> null;
      default ->
          RequestRules.refused(
              Refused.Code.UNSUPPORTED,
              self + " doesn't know role number " + hello.getRoleValue() + "; upgrade it");
    };
  }

  /**
   * The connecting side's check of the answer to its hello.
   *
   * @return why the connection can't be used, or null if it can
   */
  static String problem(Frame first, String self, String node, Role role) {
    if (first.hasRefused()) {
      return "it refuses us: " + first.getRefused().getMessage();
    }
    if (!first.hasHello()) {
      return "its first frame must be HELLO, not " + first.getBodyCase();
    }
    Hello hello = first.getHello();
    String problem = versionProblem(self, hello);
    if (problem != null) {
      return problem;
    }
    if (!hello.getNode().equals(node)) {
      return "it says it is node '" + hello.getNode() + "', its certificate says '" + node + "'";
    }
    if (hello.getRole() != role) {
      return "it answers in role " + hello.getRole() + " instead of " + role;
    }
    return null;
  }

  /** Why the reached node isn't the one that was meant, or null. */
  static String identityProblem(String certified, String meant) {
    return certified.equals(meant)
        ? null
        : "node '"
            + certified
            + "' answers there, not '"
            + meant
            + "'; correct the peer's address in the configuration";
  }

  private static String versionProblem(String self, Hello other) {
    int common = Math.min(VERSION_MAX, other.getVersionMax());
    if (common >= Math.max(VERSION_MIN, other.getVersionMin())) {
      return null;
    }
    return self
        + " speaks peer protocol "
        + VERSION_MIN
        + " to "
        + VERSION_MAX
        + ", the other node "
        + Integer.toUnsignedString(other.getVersionMin())
        + " to "
        + Integer.toUnsignedString(other.getVersionMax())
        + "; upgrade the older one";
  }
}
