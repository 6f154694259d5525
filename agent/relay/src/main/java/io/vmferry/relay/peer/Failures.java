// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.handler.codec.DecoderException;
import io.netty.handler.ssl.NotSslRecordException;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.UnresolvedAddressException;
import java.security.cert.CertPathBuilderException;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateNotYetValidException;
import java.util.Locale;
import javax.net.ssl.SSLException;

/** Says in one sentence why a connection failed; TLS libraries don't. */
final class Failures {

  private Failures() {}

  /** The reason behind {@code error}, for people. */
  static String describe(Throwable error) {
    String reason = null;
    Throwable root = error;
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      // The deepest known cause says most: "expired" rather than "path validation failed".
      String known = known(cause);
      reason = known == null ? reason : known;
      root = cause;
    }
    if (reason != null) {
      return reason;
    }
    String message =
        root.getMessage() == null ? root.getClass().getSimpleName() : root.getMessage();
    return root instanceof SSLException ? "TLS: " + message : message;
  }

  /** Whether the error is the connection's or the peer's fault; otherwise it is a bug here. */
  static boolean isOfConnection(Throwable error) {
    return error instanceof IOException || error instanceof DecoderException;
  }

  private static String known(Throwable cause) {
    if (cause instanceof NotSslRecordException) {
      return "what it sends isn't TLS";
    }
    if (cause instanceof CertificateExpiredException) {
      return "its certificate has expired (" + cause.getMessage() + ")";
    }
    if (cause instanceof CertificateNotYetValidException) {
      return "its certificate isn't valid yet (" + cause.getMessage() + "); check both clocks";
    }
    if (cause instanceof CertPathBuilderException || cause instanceof CertPathValidatorException) {
      return "its certificate isn't signed by our authority (" + cause.getMessage() + ")";
    }
    if (cause instanceof CertificateException && cause.getCause() == null) {
      return "its certificate is refused: " + cause.getMessage();
    }
    if (cause instanceof UnresolvedAddressException) {
      return "the host name can't be resolved";
    }
    if (cause instanceof ClosedChannelException) {
      return "the peer closed the connection";
    }
    String message = cause.getMessage();
    if (cause instanceof SSLException && message != null) {
      // The JDK's and OpenSSL's words for the same.
      if (message.contains("Empty client certificate chain")
          || message.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE")) {
        return "it shows no certificate";
      }
      if (message.toLowerCase(Locale.ROOT).contains("alert")) {
        return "the peer refuses our TLS (" + message + "); its log says why";
      }
    }
    return null;
  }
}
