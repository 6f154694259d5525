// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PeerTlsTest {
  private static final Duration DAY = Duration.ofDays(1);

  @TempDir private Path directory;
  private TestPki pki;
  private TestPki.Identity a;

  @BeforeEach
  void issue() throws Exception {
    pki = new TestPki(directory);
    a = pki.issue("a");
  }

  @Test
  void nodeIsTheCommonName() throws Exception {
    assertThat(a.load().node()).isEqualTo("a");
    TestPki.Identity full = pki.issue("O=acme,CN=node-1.example.org", DAY.negated(), DAY);
    assertThat(full.load().node()).isEqualTo("node-1.example.org");
  }

  @Test
  void certificateWithoutOneNameIsRefused() throws Exception {
    TestPki.Identity none = pki.issue("O=acme", DAY.negated(), DAY);
    assertThatThrownBy(none::load)
        .isInstanceOf(IOException.class)
        .hasMessageContaining(none.certificate().toString())
        .hasMessageContaining("must have exactly one common name (CN)");
    TestPki.Identity two = pki.issue("CN=a,CN=b", DAY.negated(), DAY);
    assertThatThrownBy(two::load).hasMessageContaining("exactly one common name");
  }

  @Test
  void missingFileIsNamed() {
    Path missing = directory.resolve("missing.pem");
    assertThatThrownBy(() -> PeerTls.load(missing, a.certificate(), a.key()))
        .isInstanceOf(IOException.class)
        .hasMessage(missing + " doesn't exist; create it, or correct its path");
  }

  @Test
  void unreadableFileIsNamed() {
    assertThatThrownBy(() -> PeerTls.load(directory, a.certificate(), a.key()))
        .hasMessageStartingWith(directory + " can't be read: ");
  }

  @Test
  void fileWithoutCertificateIsNamed() throws Exception {
    Path empty = Files.createFile(directory.resolve("empty.pem"));
    assertThatThrownBy(() -> PeerTls.load(empty, a.certificate(), a.key()))
        .hasMessageStartingWith(empty + " holds no PEM certificates");
    assertThatThrownBy(() -> PeerTls.load(a.authority(), a.key(), a.key()))
        .hasMessageStartingWith(a.key() + " holds no PEM certificates");
  }

  @Test
  void fileWithoutKeyIsNamed() {
    assertThatThrownBy(() -> PeerTls.load(a.authority(), a.certificate(), a.certificate()))
        .hasMessageStartingWith(a.certificate() + " holds no unencrypted PKCS#8 key");
  }

  @Test
  void keyOfAnotherCertificateIsRefused() throws Exception {
    Path other = pki.issue("b").key();
    assertThatThrownBy(() -> PeerTls.load(a.authority(), a.certificate(), other))
        .hasMessageStartingWith(other + " isn't the key of certificate " + a.certificate());
  }

  @Test
  void damagedKeyIsRefused() throws Exception {
    Path damaged =
        Files.writeString(
            directory.resolve("damaged.key"),
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assertThatThrownBy(() -> PeerTls.load(a.authority(), a.certificate(), damaged))
        .hasMessageStartingWith(damaged + " isn't the key of certificate");
  }

  @Test
  void setupNeedsTheCertificateOfItsNode() throws Exception {
    PeerTls tls = a.load();
    assertThatThrownBy(() -> setup("b", "test", tls))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("this node is 'b', its certificate is for 'a'");
    assertThatThrownBy(() -> setup("a", "x".repeat(101), tls))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("software has 101 characters, allowed are 100");
  }

  private static PeerSetup setup(String node, String software, PeerTls tls) {
    return new PeerSetup(node, software, tls, null, Runnable::run, System::nanoTime, new Random(1));
  }
}
