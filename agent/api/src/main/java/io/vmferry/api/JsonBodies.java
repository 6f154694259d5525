// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.linecorp.armeria.common.AggregatedHttpRequest;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpHeaders;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.ResponseHeaders;
import com.linecorp.armeria.server.ServiceRequestContext;
import com.linecorp.armeria.server.annotation.RequestConverterFunction;
import com.linecorp.armeria.server.annotation.ResponseConverterFunction;
import java.io.IOException;
import java.lang.reflect.ParameterizedType;

/** Records in and out of annotated service methods: strict JSON, strings as plain text. */
final class JsonBodies implements RequestConverterFunction, ResponseConverterFunction {

  @Override
  public Object convertRequest(
      ServiceRequestContext ctx,
      AggregatedHttpRequest request,
      Class<?> expectedResultType,
      ParameterizedType expectedParameterizedResultType) {
    if (!expectedResultType.isRecord()) {
      return RequestConverterFunction.fallthrough();
    }
    try {
      return Json.decodeStrict(request.content().array(), expectedResultType);
    } catch (IOException e) {
      throw new ProblemException(
          Problem.Code.BAD_REQUEST,
          ctx.method()
              + " "
              + ctx.path()
              + ": the body is not a valid "
              + expectedResultType.getSimpleName()
              + ": "
              + firstLine(e.getMessage()));
    }
  }

  @Override
  public HttpResponse convertResponse(
      ServiceRequestContext ctx, ResponseHeaders headers, Object result, HttpHeaders trailers) {
    if (result instanceof HttpResponse) {
      return ResponseConverterFunction.fallthrough();
    }
    if (result == null) {
      return HttpResponse.of(HttpStatus.NO_CONTENT);
    }
    if (result instanceof String text) {
      return HttpResponse.of(HttpStatus.OK, MediaType.PLAIN_TEXT_UTF_8, text);
    }
    return HttpResponse.of(HttpStatus.OK, MediaType.JSON_UTF_8, HttpData.wrap(Json.encode(result)));
  }

  /** Jackson adds lines with the place in its own source to the one that says what is wrong. */
  private static String firstLine(String message) {
    return message.lines().findFirst().orElse(message);
  }
}
