// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * Notices a connection over which nothing arrives any more. First handler of the pipeline: any byte
 * counts, also one in the middle of a frame, so a pong that waits behind megabytes of bulk data on
 * a slow line is no loss as long as the data flows.
 *
 * <p>Silence is counted in beats, not by the clock: a process that was stopped for a minute sees
 * one late beat, not a minute of silence.
 */
final class Heartbeat extends ChannelInboundHandlerAdapter {

  /** Time between beats in milliseconds: one small packet per second and connection. */
  static final long BEAT_MILLIS = 1_000;

  /**
   * Silent beats after which the connecting side gives up; it always has a ping under way. At 100
   * ms round trip the fifth beat allows for four retransmissions in a row, and more for any other
   * byte.
   */
  static final int CLIENT_SILENT_BEATS = 5;

  /**
   * Silent beats after which the listening side gives up. It hears a ping per second; longer than
   * the other side's, so that the side that reconnects is the one that decides.
   */
  static final int SERVER_SILENT_BEATS = 15;

  private boolean heard;
  private int silentBeats;
  private Future<?> beats;
  private ChannelHandlerContext context;

  @Override
  public void handlerAdded(ChannelHandlerContext ctx) {
    context = ctx;
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    heard = true;
    ctx.fireChannelRead(message);
  }

  @Override
  public void handlerRemoved(ChannelHandlerContext ctx) {
    if (beats != null) {
      beats.cancel(false);
    }
  }

  /**
   * Starts beating, with the first beat at once. On the event loop.
   *
   * @param silentBeatsAllowed beats without an inbound byte after which {@code lost} runs
   * @param beat runs at each beat
   * @param lost runs once, instead of a beat
   */
  void start(int silentBeatsAllowed, Runnable beat, Runnable lost) {
    heard = true;
    beat.run();
    beats =
        context
            .executor()
            .scheduleWithFixedDelay(
                () -> beat(silentBeatsAllowed, beat, lost),
                BEAT_MILLIS,
                BEAT_MILLIS,
                TimeUnit.MILLISECONDS);
  }

  private void beat(int silentBeatsAllowed, Runnable beat, Runnable lost) {
    silentBeats = heard ? 0 : silentBeats + 1;
    heard = false;
    if (silentBeats >= silentBeatsAllowed) {
      beats.cancel(false);
      lost.run();
    } else {
      beat.run();
    }
  }
}
