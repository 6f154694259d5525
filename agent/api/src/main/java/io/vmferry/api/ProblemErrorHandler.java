// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.linecorp.armeria.common.AggregatedHttpResponse;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpRequest;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.RequestHeaders;
import com.linecorp.armeria.common.util.Exceptions;
import com.linecorp.armeria.server.HttpStatusException;
import com.linecorp.armeria.server.RequestTimeoutException;
import com.linecorp.armeria.server.ServerErrorHandler;
import com.linecorp.armeria.server.ServiceConfig;
import com.linecorp.armeria.server.ServiceRequestContext;
import com.linecorp.armeria.server.annotation.ExceptionHandlerFunction;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Turns whatever goes wrong, in our code or in the HTTP server's, into a {@link Problem} body. */
final class ProblemErrorHandler implements ServerErrorHandler, ExceptionHandlerFunction {
  private static final Logger log = LoggerFactory.getLogger(ProblemErrorHandler.class);

  private final Duration requestTimeout;

  ProblemErrorHandler(Duration requestTimeout) {
    this.requestTimeout = requestTimeout;
  }

  @Override
  public HttpResponse handleException(
      ServiceRequestContext ctx, HttpRequest request, Throwable cause) {
    return onServiceException(ctx, cause);
  }

  @Override
  public HttpResponse onServiceException(ServiceRequestContext ctx, Throwable cause) {
    return response(problemOf(ctx, Exceptions.peel(cause))).toHttpResponse();
  }

  @Override
  public AggregatedHttpResponse renderStatus(
      ServiceRequestContext ctx,
      ServiceConfig config,
      RequestHeaders headers,
      HttpStatus status,
      String description,
      Throwable cause) {
    String message =
        "the control API can't "
            + headers.method()
            + " "
            + headers.path()
            + ": "
            + (description == null ? status.reasonPhrase() : description);
    return response(new Problem(ProblemStatus.codeOf(status), message));
  }

  private Problem problemOf(ServiceRequestContext ctx, Throwable cause) {
    if (cause instanceof ProblemException e) {
      return e.problem();
    }
    String request = ctx.method() + " " + ctx.path();
    if (cause instanceof RequestTimeoutException) {
      return new Problem(
          Problem.Code.UNAVAILABLE,
          request
              + " took longer than "
              + requestTimeout.toSeconds()
              + " s; look at `vmferry status` for what it waits for, then try again");
    }
    if (cause instanceof HttpStatusException e) {
      return new Problem(
          ProblemStatus.codeOf(e.httpStatus()), request + ": " + e.httpStatus().reasonPhrase());
    }
    if (cause instanceof IllegalArgumentException) {
      return new Problem(Problem.Code.BAD_REQUEST, request + ": " + cause.getMessage());
    }
    log.error("{} failed", request, cause);
    return new Problem(
        Problem.Code.INTERNAL, request + " failed: " + cause + "; the log has the details");
  }

  private static AggregatedHttpResponse response(Problem problem) {
    return AggregatedHttpResponse.of(
        ProblemStatus.of(problem.code()),
        MediaType.JSON_UTF_8,
        HttpData.wrap(Json.encode(problem)));
  }
}
