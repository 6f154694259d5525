// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.source;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.vmferry.nbd.client.NbdConnection;
import io.vmferry.nbd.client.ServerExport;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** A server whose answers the test gives by hand. */
final class FakeSourceLink implements SourceLink {
  private final Listener listener;
  final List<Asked> asked = new ArrayList<>();
  private ServerExport export;
  private String refusal;
  private boolean opened;
  private boolean closed;

  /** One request. */
  record Asked(long offset, long length, NbdConnection.Answer answer) {
    void data(byte[] bytes, int onWire) {
      ByteBuf data = Unpooled.buffer().writeBytes(bytes);
      ((NbdConnection.ReadAnswer) answer).data(data, onWire);
    }

    void extents(NbdConnection.Extent... extents) {
      ((NbdConnection.ExtentsAnswer) answer).extents(List.of(extents));
    }

    void fail(String why) {
      answer.failed(new IOException(why));
    }
  }

  FakeSourceLink(Listener listener) {
    this.listener = listener;
  }

  /** The connection is made. */
  void connect(ServerExport with) {
    refusal = listener.connected(with);
    if (refusal == null) {
      export = with;
      listener.up();
    }
  }

  void cut() {
    export = null;
  }

  boolean opened() {
    return opened;
  }

  boolean closed() {
    return closed;
  }

  Asked last() {
    return asked.get(asked.size() - 1);
  }

  @Override
  public void open() {
    opened = true;
  }

  @Override
  public boolean up() {
    return export != null;
  }

  @Override
  public ServerExport export() {
    return export;
  }

  @Override
  public String problem() {
    return refusal == null ? "NBD server server:10809: cut" : refusal;
  }

  @Override
  public boolean refused() {
    return refusal != null;
  }

  @Override
  public void read(long offset, int length, NbdConnection.ReadAnswer answer) {
    asked.add(new Asked(offset, length, answer));
  }

  @Override
  public void extents(long offset, long length, NbdConnection.ExtentsAnswer answer) {
    asked.add(new Asked(offset, length, answer));
  }

  @Override
  public void close() {
    closed = true;
  }
}
