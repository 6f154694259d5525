// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.copy;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.vmferry.relay.map.BlockMap;
import io.vmferry.relay.map.HeatCodec;
import io.vmferry.relay.map.HeatRanks;
import io.vmferry.relay.map.StaleMapCodec;
import io.vmferry.relay.peer.Crc32c;
import io.vmferry.relay.peer.LinkDownException;
import io.vmferry.relay.peer.PeerLink;
import io.vmferry.relay.peer.RoundTrip;
import io.vmferry.relay.peer.wire.Extent;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.HeatMap;
import io.vmferry.relay.peer.wire.HoleList;
import io.vmferry.relay.peer.wire.PreCopying;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;

/** A link whose answers the test gives by hand. */
public final class FakeLink implements PeerLink {
  private final String node;
  private boolean up = true;
  private final List<Call> open = new ArrayList<>();

  public FakeLink(String node) {
    this.node = node;
  }

  /** A question that has no end yet. */
  public final class Call {
    private final Role role;
    private final Frame request;
    private final Answers answers;

    private Call(Role role, Frame request, Answers answers) {
      this.role = role;
      this.request = request;
      this.answers = answers;
    }

    public Role role() {
      return role;
    }

    public Frame request() {
      return request;
    }

    public void frame(Frame.Builder answer, byte... payload) {
      ByteBuf buffer = Unpooled.wrappedBuffer(payload);
      answers.frame(answer.build(), buffer);
      buffer.release();
    }

    public void data(long offset, byte... data) {
      int crc = Crc32c.of(Unpooled.wrappedBuffer(data));
      frame(extent(offset, data.length).setExtent(piece(offset, data.length).setCrc32C(crc)), data);
    }

    public void zeroes(long offset, int length) {
      frame(Frame.newBuilder().setExtent(piece(offset, length).setZero(true)));
    }

    public void holes(long next, Long... pairs) {
      frame(
          Frame.newBuilder()
              .setHoleList(
                  HoleList.newBuilder().setNextOffset(next).addAllExtents(List.of(pairs))));
    }

    public void heat(HeatRanks heat) {
      ByteBuf encoded = Unpooled.buffer();
      HeatCodec.encode(heat, encoded);
      frame(
          Frame.newBuilder().setHeatMap(HeatMap.getDefaultInstance()),
          ByteBufUtil.getBytes(encoded));
    }

    public void preCopying(long session, BlockMap stale) {
      ByteBuf encoded = Unpooled.buffer();
      StaleMapCodec.encode(stale, encoded);
      frame(
          Frame.newBuilder().setPreCopying(PreCopying.newBuilder().setSession(session)),
          ByteBufUtil.getBytes(encoded));
    }

    public void refuse(Refused.Code code) {
      frame(Frame.newBuilder().setRefused(Refused.newBuilder().setCode(code).setMessage("no")));
    }

    public void end() {
      open.remove(this);
      answers.end(null);
    }

    public void lose() {
      open.remove(this);
      answers.end(new LinkDownException(node, role, "cut"));
    }
  }

  public static Extent.Builder piece(long offset, int length) {
    return Extent.newBuilder().setOffset(offset).setLength(length);
  }

  public static Frame.Builder extent(long offset, int length) {
    return Frame.newBuilder().setExtent(piece(offset, length));
  }

  /** The calls without end, oldest first. */
  public List<Call> calls() {
    return List.copyOf(open);
  }

  public List<Call> reads(Role role) {
    return open.stream().filter(call -> call.role == role && call.request.hasRead()).toList();
  }

  /** The one open call for holes. */
  public Call holesCall() {
    return open.stream().filter(call -> call.request.hasHoles()).findFirst().orElseThrow();
  }

  /** The one open call for heat. */
  public Call heatCall() {
    return open.stream().filter(call -> call.request.hasHeat()).findFirst().orElseThrow();
  }

  /** The open calls for a session of a pre-copy. */
  public List<Call> preCopyCalls() {
    return open.stream().filter(call -> call.request.hasPreCopy()).toList();
  }

  /** All open calls end with a loss. */
  public void cut() {
    up = false;
    calls().forEach(Call::lose);
  }

  public void repair() {
    up = true;
  }

  @Override
  public String node() {
    return node;
  }

  @Override
  public String address() {
    return node + ":7820";
  }

  @Override
  public boolean up() {
    return up;
  }

  @Override
  public RoundTrip roundTrip() {
    return new RoundTrip(20_000_000, 20_000_000);
  }

  @Override
  public String problem() {
    return up ? null : "cut";
  }

  @Override
  public void call(Role role, Frame request, Executor executor, Answers answers) {
    Call call = new Call(role, request, answers);
    if (up) {
      open.add(call);
    } else {
      executor.execute(() -> answers.end(new LinkDownException(node, role, "cut")));
    }
  }

  @Override
  public void onUp(Executor executor, Runnable listener) {
    // The test tells who has to know.
  }
}
