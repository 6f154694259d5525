// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import com.google.protobuf.ByteString;
import io.vmferry.relay.peer.wire.Extend;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Frame.BodyCase;
import io.vmferry.relay.peer.wire.Holes;
import io.vmferry.relay.peer.wire.PreCopy;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.peer.wire.Takeover;

/** The form of requests: known, on the right role, fields in range. Not their meaning. */
final class RequestRules {

  /** Bytes of a volume's UUID. */
  private static final int UUID_BYTES = 16;

  /** Bytes: many times the largest packet; it travels back as well. */
  private static final int MAX_PADDING = 64 * 1024;

  private RequestRules() {}

  /**
   * Why a request isn't passed on, or null if its form is right.
   *
   * @param role role of the connection
   * @param payloadBytes length of the request's payload
   */
  static Refused refusal(Role role, Frame request, int payloadBytes) {
    BodyCase body = request.getBodyCase();
    if (body == BodyCase.BODY_NOT_SET) {
      return refused(
          Refused.Code.UNSUPPORTED, "this node doesn't know the request; is it an older version?");
    }
    String problem = problem(role, request, payloadBytes);
    return problem == null ? null : refused(Refused.Code.BAD_REQUEST, body + ": " + problem);
  }

  static Refused refused(Refused.Code code, String message) {
    return Refused.newBuilder().setCode(code).setMessage(message).build();
  }

  private static String problem(Role role, Frame request, int payloadBytes) {
    if (request.getId() == 0) {
      return "a request needs an id that isn't 0";
    }
    if (payloadBytes != 0) {
      return "a request has no payload, this one has " + payloadBytes + " bytes";
    }
    boolean control = role == Role.CONTROL;
    return switch (request.getBodyCase()) {
      case LOCATE -> onlyOnControl(control, null);
      case ATTACH -> onlyOnControl(control, uuidProblem(request.getAttach().getUuid()));
      case DETACH -> onlyOnControl(control, uuidProblem(request.getDetach().getUuid()));
      case EXTEND -> onlyOnControl(control, extendProblem(request.getExtend()));
      case DELETE -> onlyOnControl(control, uuidProblem(request.getDelete().getUuid()));
      case TAKEOVER -> onlyOnControl(control, takeoverProblem(request.getTakeover()));
      case COMPLETE -> onlyOnControl(control, uuidProblem(request.getComplete().getUuid()));
      case HOLES -> onlyOnControl(control, holesProblem(request.getHoles()));
      case HEAT -> onlyOnControl(control, uuidProblem(request.getHeat().getUuid()));
      case PRE_COPY -> onlyOnControl(control, preCopyProblem(request.getPreCopy()));
      case CHECK_ATTACH ->
          onlyOnControl(control, uuidProblem(request.getCheckAttach().getDomain()));
      case PROBE -> onlyOnControl(control, paddingProblem(request.getProbe().getPadding().size()));
      case READ -> control ? "not on a CONTROL connection" : readProblem(request.getRead());
      default -> "not a request";
    };
  }

  private static String preCopyProblem(PreCopy preCopy) {
    return preCopy.hasEpoch() ? uuidProblem(preCopy.getUuid()) : "names no epoch";
  }

  private static String onlyOnControl(boolean control, String problem) {
    return control ? problem : "only on a CONTROL connection";
  }

  private static String paddingProblem(int bytes) {
    return bytes <= MAX_PADDING
        ? null
        : "padding of " + bytes + " bytes, allowed are 0 to " + MAX_PADDING;
  }

  private static String takeoverProblem(Takeover takeover) {
    if (takeover.getVolumesCount() == 0) {
      return "names no volume";
    }
    for (Takeover.Volume volume : takeover.getVolumesList()) {
      String problem = uuidProblem(volume.getUuid());
      if (problem != null) {
        return problem;
      }
      if (!volume.hasEpoch()) {
        return "a volume without the epoch to end";
      }
    }
    return null;
  }

  private static String extendProblem(Extend extend) {
    if (extend.getSize() < 1) {
      return "size " + Long.toUnsignedString(extend.getSize()) + " is out of range";
    }
    return uuidProblem(extend.getUuid());
  }

  private static String holesProblem(Holes holes) {
    if (holes.getOffset() < 0) {
      return "offset " + Long.toUnsignedString(holes.getOffset()) + " is out of range";
    }
    if (holes.getMaxExtents() == 0) {
      return "max_extents is 0";
    }
    return uuidProblem(holes.getUuid());
  }

  private static String readProblem(Read read) {
    long length = Integer.toUnsignedLong(read.getLength());
    if (length < 1 || length > FrameLimits.MAX_EXTENT_BYTES) {
      return "length " + length + ", allowed are 1 to " + FrameLimits.MAX_EXTENT_BYTES;
    }
    if (read.getOffset() < 0 || read.getOffset() + length < 0) {
      return "offset " + Long.toUnsignedString(read.getOffset()) + " is out of range";
    }
    return uuidProblem(read.getUuid());
  }

  private static String uuidProblem(ByteString uuid) {
    return uuid.size() == UUID_BYTES
        ? null
        : "uuid of " + uuid.size() + " bytes, must be " + UUID_BYTES;
  }
}
