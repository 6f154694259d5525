// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.fasterxml.jackson.core.type.TypeReference;
import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.netty.handler.codec.PrematureChannelClosureException;
import io.netty.handler.codec.http.DefaultFullHttpRequest;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.net.URLEncoder;
import java.net.UnixDomainSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * One HTTP request per connection over a Unix socket: connecting costs microseconds there, and
 * there is no pool whose connections could be stale after a restart of the server.
 */
final class UnixHttpClient implements AutoCloseable {
  /**
   * From the request to its answer: longer than the server's own limit, so that the server is the
   * one to say what took so long.
   */
  private static final Duration ANSWER_TIMEOUT =
      ControlServer.REQUEST_TIMEOUT.plus(Duration.ofSeconds(5));

  /** An answer in bytes: the longest is a full timeline, about 1 MiB. */
  private static final int MAX_ANSWER_BYTES = 32 << 20;

  private final String server;
  private final Path socket;
  private final String remedy;
  private final Duration answerTimeout;
  private final EventLoopGroup group;

  /**
   * @param server who is asked, for messages: {@code relay} or {@code agent}
   * @param socket where it listens
   * @param remedy what to do if it doesn't answer
   */
  UnixHttpClient(String server, Path socket, String remedy) {
    this(server, socket, remedy, ANSWER_TIMEOUT);
  }

  UnixHttpClient(String server, Path socket, String remedy, Duration answerTimeout) {
    this.server = server;
    this.socket = socket;
    this.remedy = remedy;
    this.answerTimeout = answerTimeout;
    this.group =
        new MultiThreadIoEventLoopGroup(
            1, new DefaultThreadFactory(server + "-client", true), NioIoHandler.newFactory());
  }

  /** Percent-encodes one path segment or query value. */
  static String encode(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }

  <T> CompletableFuture<T> getJson(String path, TypeReference<T> type) {
    return json(HttpMethod.GET, path, null, type);
  }

  /**
   * @param body record to send, null for none
   */
  <T> CompletableFuture<T> json(
      HttpMethod method, String path, Object body, TypeReference<T> type) {
    byte[] bytes = body == null ? new byte[0] : Json.encode(body);
    return send(method, path, "application/json", bytes)
        .thenApply(
            answer -> {
              try {
                return Json.decodeLenient(answer, type);
              } catch (IOException e) {
                throw unreadable(method, path, e.getMessage());
              }
            });
  }

  /** Sends a record, expects nothing but success. */
  CompletableFuture<Void> command(HttpMethod method, String path, Object body) {
    byte[] bytes = body == null ? new byte[0] : Json.encode(body);
    return send(method, path, "application/json", bytes).thenApply(answer -> null);
  }

  CompletableFuture<String> text(HttpMethod method, String path, String body) {
    return send(method, path, "application/xml", body.getBytes(StandardCharsets.UTF_8))
        .thenApply(answer -> new String(answer, StandardCharsets.UTF_8));
  }

  private CompletableFuture<byte[]> send(
      HttpMethod method, String path, String contentType, byte[] body) {
    CompletableFuture<byte[]> answer = new CompletableFuture<>();
    FullHttpRequest request =
        new DefaultFullHttpRequest(
            HttpVersion.HTTP_1_1, method, path, Unpooled.wrappedBuffer(body));
    request
        .headers()
        .set(HttpHeaderNames.HOST, "localhost")
        .set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE)
        .set(HttpHeaderNames.CONTENT_LENGTH, body.length);
    if (body.length > 0) {
      request.headers().set(HttpHeaderNames.CONTENT_TYPE, contentType);
    }
    new Bootstrap()
        .group(group)
        .channel(NioDomainSocketChannel.class)
        .handler(
            new ChannelInitializer<>() {
              @Override
              protected void initChannel(Channel channel) {
                channel
                    .pipeline()
                    .addLast(
                        new HttpClientCodec(),
                        new HttpObjectAggregator(MAX_ANSWER_BYTES),
                        new AnswerHandler(method, path, answer));
              }
            })
        .connect(UnixDomainSocketAddress.of(socket))
        .addListener(
            (ChannelFuture connected) -> {
              if (connected.isSuccess()) {
                limit(connected.channel(), method, path, answer);
                connected
                    .channel()
                    .writeAndFlush(request)
                    .addListener(ChannelFutureListener.FIRE_EXCEPTION_ON_FAILURE);
              } else {
                request.release();
                answer.completeExceptionally(noAnswer(reason(connected.cause())));
              }
            });
    return answer;
  }

  private void limit(
      Channel channel, HttpMethod method, String path, CompletableFuture<byte[]> answer) {
    var timer =
        channel
            .eventLoop()
            .schedule(
                () -> {
                  answer.completeExceptionally(
                      noAnswer(
                          method
                              + " "
                              + path
                              + " took longer than "
                              + answerTimeout.toSeconds()
                              + " s"));
                  var unused = channel.close();
                },
                answerTimeout.toMillis(),
                TimeUnit.MILLISECONDS);
    var unused = answer.whenComplete((bytes, failure) -> timer.cancel(false));
  }

  private ProblemException noAnswer(String reason) {
    return new ProblemException(
        Problem.Code.UNAVAILABLE,
        "the " + server + " does not answer on " + socket + ": " + reason + "; " + remedy);
  }

  private ProblemException unreadable(HttpMethod method, String path, String reason) {
    return new ProblemException(
        Problem.Code.INTERNAL,
        "can't read the "
            + server
            + "'s answer to "
            + method
            + " "
            + path
            + ": "
            + reason
            + "; is it the same version as this program?");
  }

  /** Netty adds the address to the message of a refused connection; the caller names it already. */
  private static String reason(Throwable cause) {
    String message = cause.getMessage() == null ? cause.toString() : cause.getMessage();
    int address = message.indexOf(": ");
    return (address < 0 ? message : message.substring(0, address)).toLowerCase(Locale.ROOT);
  }

  @Override
  public void close() {
    var unused = group.shutdownGracefully(0, 0, TimeUnit.MILLISECONDS);
  }

  /** Completes the answer once: with the body, the problem in it, or the loss of the connection. */
  private final class AnswerHandler extends SimpleChannelInboundHandler<FullHttpResponse> {
    private final HttpMethod method;
    private final String path;
    private final CompletableFuture<byte[]> answer;

    AnswerHandler(HttpMethod method, String path, CompletableFuture<byte[]> answer) {
      this.method = method;
      this.path = path;
      this.answer = answer;
    }

    @Override
    protected void channelRead0(ChannelHandlerContext ctx, FullHttpResponse response) {
      byte[] body = ByteBufUtil.getBytes(response.content());
      int status = response.status().code();
      if (status >= 200 && status < 300) {
        answer.complete(body);
      } else {
        answer.completeExceptionally(problemIn(status, body));
      }
      var unused = ctx.close();
    }

    private ProblemException problemIn(int status, byte[] body) {
      try {
        Problem problem = Json.decodeLenient(body, new TypeReference<Problem>() {});
        if (problem.code() != null) {
          return new ProblemException(problem.code(), problem.message());
        }
      } catch (IOException e) {
        // Not our server's format: the status is all there is to say.
      }
      return unreadable(method, path, "HTTP status " + status);
    }

    private ProblemException cutOff() {
      return noAnswer("it closed the connection before it had answered " + method + " " + path);
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
      answer.completeExceptionally(cutOff());
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      // Inside a message the codec reports a closed connection before the channel does.
      answer.completeExceptionally(
          cause instanceof IOException || cause instanceof PrematureChannelClosureException
              ? cutOff()
              : unreadable(method, path, String.valueOf(cause.getMessage())));
      var unused = ctx.close();
    }
  }
}
