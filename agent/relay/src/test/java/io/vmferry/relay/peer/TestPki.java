// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.io.StringWriter;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import java.util.concurrent.atomic.AtomicInteger;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.openssl.jcajce.JcaPKCS8Generator;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/** A certificate authority with the certificates it issued, as PEM files in one directory. */
final class TestPki {
  private static final Duration DAY = Duration.ofDays(1);

  private final Path directory;
  private final KeyPair keys;
  private final X500Name name;
  private final AtomicInteger serial = new AtomicInteger(1);
  private final Path authority;

  /** Files of one node. */
  record Identity(Path authority, Path certificate, Path key) {
    PeerTls load() throws IOException {
      return PeerTls.load(authority, certificate, key);
    }

    PeerTls load(SslProvider provider) throws IOException {
      return PeerTls.load(authority, certificate, key, provider);
    }
  }

  TestPki(Path directory) throws Exception {
    this(directory, "test authority");
  }

  TestPki(Path directory, String authorityName) throws Exception {
    name = new X500Name("CN=" + authorityName);
    this.directory = Files.createDirectories(directory);
    keys = newKeys();
    authority = write("ca.pem", pem(sign(name, keys, DAY.negated(), DAY, true)));
  }

  /** A good identity. */
  Identity issue(String node) throws Exception {
    return issue("CN=" + node, DAY.negated(), DAY);
  }

  /** An identity with any subject and validity, relative to now. */
  Identity issue(String subject, Duration from, Duration to) throws Exception {
    KeyPair nodeKeys = newKeys();
    String file = "node" + serial.get();
    X509CertificateHolder certificate = sign(new X500Name(subject), nodeKeys, from, to, false);
    return new Identity(
        authority,
        write(file + ".pem", pem(certificate)),
        write(file + ".key", pem(new JcaPKCS8Generator(nodeKeys.getPrivate(), null))));
  }

  private X509CertificateHolder sign(
      X500Name subject, KeyPair subjectKeys, Duration from, Duration to, boolean isAuthority)
      throws OperatorCreationException, IOException {
    Instant now = Instant.now();
    JcaX509v3CertificateBuilder builder =
        new JcaX509v3CertificateBuilder(
            name,
            BigInteger.valueOf(serial.getAndIncrement()),
            Date.from(now.plus(from)),
            Date.from(now.plus(to)),
            subject,
            subjectKeys.getPublic());
    builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(isAuthority));
    return builder.build(new JcaContentSignerBuilder("SHA256withECDSA").build(keys.getPrivate()));
  }

  private static KeyPair newKeys() throws GeneralSecurityException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(256);
    return generator.generateKeyPair();
  }

  private static String pem(Object object) throws IOException {
    StringWriter text = new StringWriter();
    try (JcaPEMWriter writer = new JcaPEMWriter(text)) {
      writer.writeObject(object);
    }
    return text.toString();
  }

  private Path write(String file, String content) throws IOException {
    return Files.writeString(directory.resolve(file), content);
  }
}
