// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import io.vmferry.relay.peer.wire.Attach;
import io.vmferry.relay.peer.wire.Attached;
import io.vmferry.relay.peer.wire.CheckAttach;
import io.vmferry.relay.peer.wire.Complete;
import io.vmferry.relay.peer.wire.Detach;
import io.vmferry.relay.peer.wire.Done;
import io.vmferry.relay.peer.wire.EpochId;
import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Heat;
import io.vmferry.relay.peer.wire.HoleList;
import io.vmferry.relay.peer.wire.Holes;
import io.vmferry.relay.peer.wire.Locate;
import io.vmferry.relay.peer.wire.Located;
import io.vmferry.relay.peer.wire.Ping;
import io.vmferry.relay.peer.wire.PreCopy;
import io.vmferry.relay.peer.wire.Probe;
import io.vmferry.relay.peer.wire.Read;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import io.vmferry.relay.peer.wire.TakenOver;
import io.vmferry.relay.peer.wire.Takeover;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class FrameRulesTest {
  private static final ByteString UUID = ByteString.copyFrom(new byte[16]);
  private static final ByteString SHORT_UUID = ByteString.copyFrom(new byte[15]);
  private static final EpochId EPOCH = EpochId.newBuilder().setNumber(1).setOwner("a").build();
  private static final int MIB = 1024 * 1024;

  static List<Frame> controlRequests() {
    return List.of(
        request().setLocate(Locate.newBuilder().addNames("vm1")).build(),
        request().setAttach(Attach.newBuilder().setUuid(UUID)).build(),
        request().setDetach(Detach.newBuilder().setUuid(UUID)).build(),
        request().setTakeover(takeover(UUID, EPOCH)).build(),
        request().setComplete(Complete.newBuilder().setUuid(UUID).setEpoch(EPOCH)).build(),
        request().setHoles(Holes.newBuilder().setUuid(UUID).setMaxExtents(1)).build(),
        request().setHeat(Heat.newBuilder().setUuid(UUID).setEpoch(EPOCH)).build(),
        request().setCheckAttach(CheckAttach.newBuilder().setDomain(UUID)).build(),
        request().setProbe(Probe.newBuilder().setPadding(padding(65536))).build());
  }

  @ParameterizedTest
  @MethodSource("controlRequests")
  void controlRequestsBelongOnControl(Frame request) {
    assertThat(RequestRules.refusal(Role.CONTROL, request, 0)).isNull();
    assertBad(Role.DEMAND, request, 0, "only on a CONTROL connection");
    assertBad(Role.BULK, request, 0, "only on a CONTROL connection");
  }

  private static ByteString padding(int bytes) {
    return ByteString.copyFrom(new byte[bytes]);
  }

  @Test
  void paddingHasALimit() {
    Frame probe = request().setProbe(Probe.newBuilder().setPadding(padding(65537))).build();
    assertBad(Role.CONTROL, probe, 0, "padding of 65537 bytes, allowed are 0 to 65536");
  }

  @Test
  void readsBelongOnDemandAndBulk() {
    Frame read = read(0, MIB, UUID);
    assertThat(RequestRules.refusal(Role.DEMAND, read, 0)).isNull();
    assertThat(RequestRules.refusal(Role.BULK, read, 0)).isNull();
    assertBad(Role.CONTROL, read, 0, "not on a CONTROL connection");
  }

  @Test
  void readRangesAreChecked() {
    assertBad(Role.BULK, read(0, 0, UUID), 0, "length 0, allowed are 1 to 1048576");
    assertBad(Role.BULK, read(0, MIB + 1, UUID), 0, "length 1048577");
    assertBad(Role.BULK, read(0, -1, UUID), 0, "length 4294967295");
    assertBad(Role.BULK, read(-1, 1, UUID), 0, "offset 18446744073709551615 is out of range");
    assertBad(Role.BULK, read(Long.MAX_VALUE, 1, UUID), 0, "is out of range");
    assertBad(Role.BULK, read(0, 1, SHORT_UUID), 0, "uuid of 15 bytes, must be 16");
  }

  static Stream<Frame> shortUuids() {
    return Stream.of(
        request().setAttach(Attach.newBuilder().setUuid(SHORT_UUID)).build(),
        request().setDetach(Detach.newBuilder().setUuid(SHORT_UUID)).build(),
        request().setTakeover(takeover(SHORT_UUID, EPOCH)).build(),
        request().setComplete(Complete.newBuilder().setUuid(SHORT_UUID)).build(),
        request().setHoles(Holes.newBuilder().setUuid(SHORT_UUID).setMaxExtents(1)).build(),
        request().setHeat(Heat.newBuilder().setUuid(SHORT_UUID)).build(),
        request().setPreCopy(PreCopy.newBuilder().setUuid(SHORT_UUID).setEpoch(EPOCH)).build(),
        request().setCheckAttach(CheckAttach.newBuilder().setDomain(SHORT_UUID)).build());
  }

  @ParameterizedTest
  @MethodSource("shortUuids")
  void uuidsHave16Bytes(Frame request) {
    assertBad(Role.CONTROL, request, 0, "uuid of 15 bytes, must be 16");
  }

  @Test
  void takeoverNamesVolumesAndEpochs() {
    Frame none = request().setTakeover(Takeover.newBuilder()).build();
    assertBad(Role.CONTROL, none, 0, "names no volume");
    Takeover.Volume noEpoch = Takeover.Volume.newBuilder().setUuid(UUID).build();
    Frame takeover = request().setTakeover(Takeover.newBuilder().addVolumes(noEpoch)).build();
    assertBad(Role.CONTROL, takeover, 0, "without the epoch to end");
  }

  @Test
  void holesRangeIsChecked() {
    Holes holes = Holes.newBuilder().setUuid(UUID).setMaxExtents(1).build();
    Frame negative = request().setHoles(holes.toBuilder().setOffset(-1)).build();
    assertBad(Role.CONTROL, negative, 0, "is out of range");
    Frame none = request().setHoles(holes.toBuilder().setMaxExtents(0)).build();
    assertBad(Role.CONTROL, none, 0, "max_extents is 0");
  }

  @Test
  void requestsHaveAnIdAndNoPayload() {
    assertBad(Role.BULK, read(0, 1, UUID).toBuilder().setId(0).build(), 0, "needs an id");
    assertBad(Role.BULK, read(0, 1, UUID), 5, "has no payload, this one has 5 bytes");
  }

  @Test
  void answersAreNoRequests() {
    assertBad(Role.CONTROL, request().setDone(Done.newBuilder()).build(), 0, "not a request");
  }

  @Test
  void unknownBodyIsUnsupported() {
    Refused refused = RequestRules.refusal(Role.CONTROL, request().build(), 0);
    assertThat(refused.getCode()).isEqualTo(Refused.Code.UNSUPPORTED);
  }

  @Test
  void extentLengthIsItsPayload() {
    assertThat(AnswerRules.problem(extent(0, 10, false), 10)).isNull();
    assertThat(AnswerRules.problem(extent(0, MIB, true), 0)).isNull();
    assertThat(AnswerRules.problem(extent(0, 10, false), 9))
        .isEqualTo("EXTENT with a payload of 9 bytes instead of 10");
    assertThat(AnswerRules.problem(extent(0, 10, true), 10)).contains("instead of 0");
  }

  @Test
  void aCompressedExtentIsShorterThanItsData() {
    Frame packed =
        request().setExtent(Extent.newBuilder().setOffset(0).setLength(10).setZstd(true)).build();
    assertThat(AnswerRules.problem(packed, 9)).isNull();
    assertThat(AnswerRules.problem(packed, 1)).isNull();
    assertThat(AnswerRules.problem(packed, 0)).contains("10 bytes compressed to 0");
    assertThat(AnswerRules.problem(packed, 10)).contains("10 bytes compressed to 10");
  }

  @Test
  void extentRangeIsChecked() {
    assertThat(AnswerRules.problem(extent(0, 0, false), 0)).isEqualTo("EXTENT of 0 bytes");
    assertThat(AnswerRules.problem(extent(0, MIB + 1, true), 0)).contains("of 1048577 bytes");
    assertThat(AnswerRules.problem(extent(-1, 1, true), 0)).contains("at offset 1844674407370955");
    assertThat(AnswerRules.problem(extent(Long.MAX_VALUE, 1, true), 0)).contains("at offset");
  }

  @Test
  void staleMapsFillThePayload() {
    TakenOver.Volume volume = TakenOver.Volume.newBuilder().setStaleMapLength(6).build();
    TakenOver two = TakenOver.newBuilder().addVolumes(volume).addVolumes(volume).build();
    Frame answer = request().setTakenOver(two).build();
    assertThat(AnswerRules.problem(answer, 12)).isNull();
    assertThat(AnswerRules.problem(answer, 11)).contains("11 bytes instead of 12");
  }

  @Test
  void holesAreToldInPairs() {
    Frame odd = request().setHoleList(HoleList.newBuilder().addExtents(1)).build();
    assertThat(AnswerRules.problem(odd, 0)).contains("an offset that has no length");
    Frame pair = request().setHoleList(HoleList.newBuilder().addExtents(1).addExtents(2)).build();
    assertThat(AnswerRules.problem(pair, 0)).isNull();
    assertThat(AnswerRules.problem(pair, 1)).contains("HOLE_LIST with a payload of 1 bytes");
  }

  static Stream<Frame> smallAnswers() {
    return Stream.of(
        request().setRefused(Refused.newBuilder()).build(),
        request().setLocated(Located.newBuilder()).build(),
        request().setAttached(Attached.newBuilder()).build(),
        request().setDone(Done.newBuilder()).build());
  }

  @ParameterizedTest
  @MethodSource("smallAnswers")
  void otherAnswersHaveNoPayload(Frame answer) {
    assertThat(AnswerRules.problem(answer, 0)).isNull();
    assertThat(AnswerRules.problem(answer, 1)).contains("with a payload of 1 bytes");
  }

  @Test
  void requestsAreNoAnswers() {
    Frame ping = request().setPing(Ping.newBuilder()).build();
    assertThat(AnswerRules.problem(ping, 0)).isEqualTo("PING isn't an answer");
    assertThat(AnswerRules.problem(request().build(), 0)).contains("isn't an answer");
  }

  private static void assertBad(Role role, Frame request, int payloadBytes, String message) {
    Refused refused = RequestRules.refusal(role, request, payloadBytes);
    assertThat(refused.getCode()).isEqualTo(Refused.Code.BAD_REQUEST);
    assertThat(refused.getMessage()).contains(request.getBodyCase() + ": ").contains(message);
  }

  private static Frame.Builder request() {
    return Frame.newBuilder().setId(1);
  }

  private static Takeover takeover(ByteString uuid, EpochId epoch) {
    Takeover.Volume volume = Takeover.Volume.newBuilder().setUuid(uuid).setEpoch(epoch).build();
    return Takeover.newBuilder().addVolumes(volume).build();
  }

  private static Frame read(long offset, int length, ByteString uuid) {
    Read read = Read.newBuilder().setUuid(uuid).setOffset(offset).setLength(length).build();
    return request().setRead(read).build();
  }

  private static Frame extent(long offset, int length, boolean zero) {
    Extent extent = Extent.newBuilder().setOffset(offset).setLength(length).setZero(zero).build();
    return request().setExtent(extent).build();
  }
}
