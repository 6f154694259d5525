// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.cli.pki.Pem;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.KeyStore;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PkiTest extends CliFixture {
  private Path pki;

  @BeforeEach
  void init() {
    pki = directory.resolve("pki");
    assertThat(runPlain("pki", "init", pki.toString()).exit()).isZero();
  }

  private Outcome issue(String node, String... options) {
    String[] arguments = new String[4 + options.length];
    arguments[0] = "pki";
    arguments[1] = "issue";
    arguments[2] = pki.toString();
    arguments[3] = node;
    System.arraycopy(options, 0, arguments, 4, options.length);
    return runPlain(arguments);
  }

  private String modeOf(String file) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(pki.resolve(file)));
  }

  @Test
  void onlyItsOwnerReadsAKey() throws IOException {
    issue("host-a");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(pki)))
        .isEqualTo("rwx------");
    assertThat(modeOf("ca.key")).isEqualTo("rw-------");
    assertThat(modeOf("ca.crt")).isEqualTo("rw-r--r--");
    assertThat(modeOf("host-a.key")).isEqualTo("rw-------");
    assertThat(modeOf("host-a.crt")).isEqualTo("rw-r--r--");
  }

  @Test
  void theAuthorityMaySignNodesAndNothingBelow() throws Exception {
    X509Certificate ca = Pem.certificate(pki.resolve("ca.crt"));
    assertThat(ca.getBasicConstraints()).isZero();
    assertThat(ca.getKeyUsage()).startsWith(false, false, false, false, false, true, true);
    ca.verify(ca.getPublicKey());
  }

  @Test
  void aNodesCertificateNamesItAndItsAddresses() throws Exception {
    issue("host-a", "--address", "192.0.2.1", "--address", "2001:db8::1", "--address", "a.example");
    X509Certificate certificate = Pem.certificate(pki.resolve("host-a.crt"));
    assertThat(certificate.getSubjectX500Principal().getName()).isEqualTo("CN=host-a");
    assertThat(certificate.getSubjectAlternativeNames())
        .containsExactlyInAnyOrder(
            List.of(2, "host-a"),
            List.of(7, "192.0.2.1"),
            List.of(7, "2001:db8:0:0:0:0:0:1"),
            List.of(2, "a.example"));
    assertThat(certificate.getExtendedKeyUsage())
        .containsExactly("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2");
    assertThat(certificate.getBasicConstraints()).isEqualTo(-1);
    assertThat(((ECPublicKey) certificate.getPublicKey()).getParams().getOrder().bitLength())
        .isEqualTo(256);
    certificate.verify(Pem.certificate(pki.resolve("ca.crt")).getPublicKey());
  }

  @Test
  void aCertificateIsValidFromAnHourAgoForFiveYears() throws Exception {
    issue("host-a");
    X509Certificate certificate = Pem.certificate(pki.resolve("host-a.crt"));
    assertThat(certificate.getNotBefore().toInstant()).isEqualTo(NOW.minus(Duration.ofHours(1)));
    assertThat(certificate.getNotAfter().toInstant()).isEqualTo(NOW.plus(Duration.ofDays(1825)));
  }

  @Test
  void noCertificateOutlivesItsAuthority() throws Exception {
    now = NOW.plus(Duration.ofDays(3600));
    issue("host-a");
    assertThat(Pem.certificate(pki.resolve("host-a.crt")).getNotAfter())
        .isEqualTo(Pem.certificate(pki.resolve("ca.crt")).getNotAfter());
  }

  @Test
  void twoNodesCanTalkTls13WithTheirCertificates() throws Exception {
    // The JDK checks dates by the clock on the wall.
    now = Instant.now();
    pki = directory.resolve("today");
    runPlain("pki", "init", pki.toString());
    issue("host-a");
    issue("host-b");
    SSLEngine server = engine("host-a");
    server.setUseClientMode(false);
    server.setNeedClientAuth(true);
    SSLEngine client = engine("host-b");
    client.setUseClientMode(true);
    handshake(client, server);
    assertThat(server.getSession().getProtocol()).isEqualTo("TLSv1.3");
    assertThat(server.getSession().getPeerPrincipal().getName()).isEqualTo("CN=host-b");
    assertThat(client.getSession().getPeerPrincipal().getName()).isEqualTo("CN=host-a");
  }

  private SSLEngine engine(String node) throws Exception {
    char[] password = new char[0];
    X509Certificate ca = Pem.certificate(pki.resolve("ca.crt"));
    KeyStore keys = KeyStore.getInstance("PKCS12");
    keys.load(null, password);
    keys.setKeyEntry(
        "node",
        Pem.privateKey(pki.resolve(node + ".key")),
        password,
        new X509Certificate[] {Pem.certificate(pki.resolve(node + ".crt"))});
    keys.setCertificateEntry("ca", ca);
    KeyManagerFactory own = KeyManagerFactory.getInstance("PKIX");
    own.init(keys, password);
    TrustManagerFactory trusted = TrustManagerFactory.getInstance("PKIX");
    trusted.init(keys);
    SSLContext context = SSLContext.getInstance("TLSv1.3");
    context.init(own.getKeyManagers(), trusted.getTrustManagers(), null);
    return context.createSSLEngine();
  }

  /** Carries packets between two engines until both are done; 100 are more than enough. */
  private static void handshake(SSLEngine client, SSLEngine server) throws Exception {
    ByteBuffer toServer = ByteBuffer.allocate(1 << 16);
    ByteBuffer toClient = ByteBuffer.allocate(1 << 16);
    for (int i = 0; i < 100; i++) {
      step(client, toClient, toServer);
      step(server, toServer, toClient);
      if (done(client) && done(server)) {
        return;
      }
    }
    throw new AssertionError("the handshake does not end");
  }

  private static boolean done(SSLEngine engine) {
    return engine.getHandshakeStatus() == SSLEngineResult.HandshakeStatus.NOT_HANDSHAKING;
  }

  private static void step(SSLEngine engine, ByteBuffer in, ByteBuffer out) throws Exception {
    ByteBuffer nothing = ByteBuffer.allocate(0);
    ByteBuffer plain = ByteBuffer.allocate(1 << 16);
    in.flip();
    engine.unwrap(in, plain);
    in.compact();
    Runnable task = engine.getDelegatedTask();
    while (task != null) {
      task.run();
      task = engine.getDelegatedTask();
    }
    engine.wrap(nothing, out);
  }

  @Test
  void nothingIsOverwritten() throws IOException {
    issue("host-a");
    String key = Files.readString(pki.resolve("host-a.key"));
    Outcome again = issue("host-a");
    assertThat(again.exit()).isEqualTo(1);
    assertThat(again.err()).contains("host-a.key exists already and is not replaced");
    assertThat(pki.resolve("host-a.key")).hasContent(key);
    assertThat(runPlain("pki", "init", pki.toString()).err()).contains("ca.key exists already");
  }

  @Test
  void aLoneCertificateIsNotOverwrittenEither() throws IOException {
    Files.writeString(pki.resolve("host-a.crt"), "precious");
    assertThat(issue("host-a").exit()).isEqualTo(1);
    assertThat(pki.resolve("host-a.key")).doesNotExist();
  }

  @Test
  void aNameThatIsNoneIsAUsageError() {
    Outcome outcome = issue("../host");
    assertThat(outcome.exit()).isEqualTo(2);
    assertThat(outcome.err()).contains("'../host' is not a node's name");
  }

  @Test
  void aMissingAuthorityIsNamed() {
    Outcome outcome = runPlain("pki", "issue", directory.resolve("none").toString(), "host-a");
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err())
        .contains("can't read the certificate " + directory + "/none/ca.crt: no such file");
  }

  @Test
  void aDirectoryThatCanNotBeMadeIsNamed() {
    Outcome outcome = runPlain("pki", "init", directory.resolve("a/b").toString());
    assertThat(outcome.exit()).isEqualTo(1);
    assertThat(outcome.err()).contains("can't make the directory " + directory + "/a/b");
  }

  @Test
  void aBrokenKeyIsNamed() throws IOException {
    Files.writeString(
        pki.resolve("ca.key"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----");
    assertThat(issue("host-a").err()).contains("can't read the key " + pki + "/ca.key: it is none");
    Files.writeString(pki.resolve("ca.key"), "rubbish");
    assertThat(issue("host-a").err()).contains("no block BEGIN PRIVATE KEY");
    Files.writeString(pki.resolve("ca.crt"), "rubbish");
    assertThat(issue("host-a").err()).contains("it is not a PEM certificate");
  }

  @Test
  void whatIsMadeIsNamed() {
    assertThat(issue("host-a").out())
        .contains(pki + "/host-a.crt", pki + "/host-a.key", "/etc/vmferry/pki/node.crt");
  }
}
