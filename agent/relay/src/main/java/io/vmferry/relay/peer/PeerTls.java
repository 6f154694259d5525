// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.buffer.ByteBufAllocator;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.OpenSsl;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.List;
import javax.net.ssl.SSLException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * TLS between relays: version 1.3 only, both sides show a certificate of the same authority. There
 * is no check of host names: a node is its certificate's common name, wherever it is reached.
 *
 * <p>Thread-safe. A renewed certificate is loaded anew and taken over: connections that are made
 * afterwards show it, and those that stand go on.
 */
public final class PeerTls {
  private static final Logger LOG = LoggerFactory.getLogger(PeerTls.class);
  private static final String TLS_1_3 = "TLSv1.3";

  /**
   * Longest TLS handshake, in milliseconds. Two round trips and two signatures take well under a
   * second over any usable WAN; ten leave room for lost packets.
   */
  static final long HANDSHAKE_TIMEOUT_MILLIS = 10_000;

  /**
   * What was read.
   *
   * @param files authorities, chain and key, to know whether they are still the same
   */
  private record Identity(
      Instant validUntil, List<Object> files, SslContext server, SslContext client) {}

  private final String node;
  private volatile Identity identity;

  private PeerTls(String node, Identity identity) {
    this.node = node;
    this.identity = identity;
  }

  /**
   * Reads the node's identity from PEM files. Blocks on the disk.
   *
   * @param authority certificates of the authorities that sign the nodes' certificates
   * @param certificate this node's certificate, followed by intermediate ones if there are any
   * @param key private key of the certificate: PKCS#8, not encrypted, RSA or EC
   * @throws IOException if a file can't be read or used; the message names it and the next step
   */
  public static PeerTls load(Path authority, Path certificate, Path key) throws IOException {
    SslProvider provider = OpenSsl.isAvailable() ? SslProvider.OPENSSL : SslProvider.JDK;
    if (provider == SslProvider.JDK) {
      LOG.warn(
          "OpenSSL can't be loaded ({}); peer connections use the slower TLS of the JDK",
          String.valueOf(OpenSsl.unavailabilityCause()));
    }
    return load(authority, certificate, key, provider);
  }

  static PeerTls load(Path authority, Path certificate, Path key, SslProvider provider)
      throws IOException {
    List<X509Certificate> authorities = PemFiles.certificates(authority);
    List<X509Certificate> chain = PemFiles.certificates(certificate);
    PrivateKey privateKey = PemFiles.key(key, chain.get(0), certificate);
    try {
      String node = NodeCertificate.nodeOf(chain.get(0));
      SslContext server =
          SslContextBuilder.forServer(privateKey, chain)
              .trustManager(authorities)
              .clientAuth(ClientAuth.REQUIRE)
              .protocols(TLS_1_3)
              .sslProvider(provider)
              .build();
      SslContext client =
          SslContextBuilder.forClient()
              .keyManager(privateKey, chain)
              .trustManager(authorities)
              // The name to check is the node's, not the host's; ClientHandshake does it.
              .endpointIdentificationAlgorithm(null)
              .protocols(TLS_1_3)
              .sslProvider(provider)
              .build();
      return new PeerTls(
          node,
          new Identity(
              chain.get(0).getNotAfter().toInstant(),
              List.of(authorities, chain, privateKey),
              server,
              client));
    } catch (CertificateException e) {
      throw new IOException(
          "certificate " + certificate + ": " + e.getMessage() + "; issue a new one", e);
    } catch (SSLException | IllegalArgumentException e) {
      throw new IOException(
          "certificate " + certificate + " with key " + key + " can't be used for TLS: " + e, e);
    }
  }

  /** Name of this node, from its certificate. */
  public String node() {
    return node;
  }

  /** When this node's certificate ends. */
  public Instant validUntil() {
    return identity.validUntil();
  }

  /** Whether both were read from files of the same content. */
  public boolean sameAs(PeerTls other) {
    return identity.files().equals(other.identity.files());
  }

  /**
   * From now on as the other one, which is for the same node.
   *
   * @throws IllegalArgumentException if it is not
   */
  public void become(PeerTls renewed) {
    if (!renewed.node.equals(node)) {
      throw new IllegalArgumentException("a certificate of " + renewed.node + " for " + node);
    }
    identity = renewed.identity;
  }

  SslHandler newServerHandler(ByteBufAllocator allocator) {
    return withTimeout(identity.server().newHandler(allocator));
  }

  SslHandler newClientHandler(ByteBufAllocator allocator) {
    return withTimeout(identity.client().newHandler(allocator));
  }

  private static SslHandler withTimeout(SslHandler handler) {
    handler.setHandshakeTimeoutMillis(HANDSHAKE_TIMEOUT_MILLIS);
    return handler;
  }
}
