// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.doctor;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Processes;
import io.vmferry.cli.pki.Pem;
import io.vmferry.cli.text.Finding;
import io.vmferry.config.Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;

/** Whether peers will accept this node's certificate. */
final class CertificateCheck {
  private static final String SUBJECT = "certificates";
  private static final String WHY = "no peer will talk to this node, so no volume comes or goes";

  /** Before the end: time to issue and copy new ones. */
  static final Duration RENEWAL_TIME = Duration.ofDays(30);

  /** Who the relay runs as; the packages make it. */
  private static final String RELAY_USER = "vmferry";

  private final Config config;
  private final Clock clock;
  private final Processes processes;

  CertificateCheck(Config config, Clock clock, Processes processes) {
    this.config = config;
    this.clock = clock;
    this.processes = processes;
  }

  List<Finding> run() {
    X509Certificate ca;
    X509Certificate certificate;
    PrivateKey key;
    try {
      ca = Pem.certificate(config.tls().ca());
      certificate = Pem.certificate(config.tls().certificate());
      key = Pem.privateKey(config.tls().key());
    } catch (CommandFailure e) {
      return List.of(Finding.fail(SUBJECT, e.getMessage(), WHY, issue()));
    }
    List<Finding> findings = new ArrayList<>();
    checkSignature(ca, certificate, findings);
    checkName(certificate, findings);
    checkKey(certificate, key, findings);
    checkDates("the authority's certificate", ca, "vmferry pki init NEW-DIR", findings);
    checkDates("the certificate", certificate, issue(), findings);
    checkMode(findings);
    checkReadable(findings);
    if (findings.isEmpty()) {
      findings.add(
          Finding.ok(
              SUBJECT,
              "of "
                  + config.node()
                  + ", valid until "
                  + until(clock.instant(), certificate.getNotAfter().toInstant())));
    }
    return findings;
  }

  private String issue() {
    return "vmferry pki issue CA-DIR " + config.node() + ", and copy what it makes";
  }

  private void checkSignature(
      X509Certificate ca, X509Certificate certificate, List<Finding> findings) {
    try {
      certificate.verify(ca.getPublicKey());
    } catch (GeneralSecurityException e) {
      findings.add(
          Finding.fail(
              SUBJECT,
              config.tls().certificate() + " is not signed by " + config.tls().ca(),
              WHY,
              issue()));
    }
  }

  private void checkName(X509Certificate certificate, List<Finding> findings) {
    String name = commonName(certificate);
    if (!config.node().equals(name)) {
      findings.add(
          Finding.fail(
              SUBJECT,
              config.tls().certificate()
                  + " is for '"
                  + name
                  + "', but this node is '"
                  + config.node()
                  + "'",
              WHY,
              issue()));
    }
  }

  private static String commonName(X509Certificate certificate) {
    try {
      for (Rdn rdn : new LdapName(certificate.getSubjectX500Principal().getName()).getRdns()) {
        if (rdn.getType().equalsIgnoreCase("CN")) {
          return rdn.getValue().toString();
        }
      }
    } catch (InvalidNameException e) {
      // Has no CN that anyone could read: the same as none.
    }
    return "";
  }

  private void checkKey(X509Certificate certificate, PrivateKey key, List<Finding> findings) {
    String algorithm =
        switch (key.getAlgorithm()) {
          case "EC" -> "SHA256withECDSA";
          case "RSA" -> "SHA256withRSA";
          default -> "EdDSA";
        };
    boolean matches;
    try {
      byte[] sample = {1, 2, 3};
      Signature signer = Signature.getInstance(algorithm);
      signer.initSign(key);
      signer.update(sample);
      Signature verifier = Signature.getInstance(algorithm);
      verifier.initVerify(certificate.getPublicKey());
      verifier.update(sample);
      matches = verifier.verify(signer.sign());
    } catch (GeneralSecurityException e) {
      matches = false;
    }
    if (!matches) {
      findings.add(
          Finding.fail(
              SUBJECT,
              config.tls().key() + " is not the key of " + config.tls().certificate(),
              WHY,
              issue()));
    }
  }

  private void checkDates(
      String what, X509Certificate certificate, String mend, List<Finding> findings) {
    Instant now = clock.instant();
    Instant begin = certificate.getNotBefore().toInstant();
    Instant end = certificate.getNotAfter().toInstant();
    if (now.isBefore(begin)) {
      findings.add(
          Finding.fail(
              SUBJECT, what + " is valid only from " + date(begin), WHY, "set this host's clock"));
    } else if (now.isAfter(end)) {
      findings.add(Finding.fail(SUBJECT, what + " ended on " + date(end), WHY, mend));
    } else if (now.plus(RENEWAL_TIME).isAfter(end)) {
      findings.add(
          Finding.warn(SUBJECT, what + " ends on " + until(now, end), "from then on " + WHY, mend));
    }
  }

  private void checkMode(List<Finding> findings) {
    try {
      Set<PosixFilePermission> mode = Files.getPosixFilePermissions(config.tls().key());
      if (mode.contains(PosixFilePermission.OTHERS_READ)) {
        findings.add(
            Finding.fail(
                SUBJECT,
                "everybody on this host can read " + config.tls().key(),
                "whoever has the key can read and take over every volume",
                "chmod 600 " + config.tls().key()));
      }
    } catch (IOException e) {
      findings.add(
          Finding.warn(
              SUBJECT,
              "the mode of " + config.tls().key() + " is unknown: " + CommandFailure.reason(e),
              "whoever has the key can read and take over every volume",
              "run this as root"));
    }
  }

  /** Tried as that user: a key that was copied as root is root's. */
  private void checkReadable(List<Finding> findings) {
    for (Path file : List.of(config.tls().ca(), config.tls().certificate(), config.tls().key())) {
      try {
        Processes.Result tried =
            processes.run(
                List.of("runuser", "-u", RELAY_USER, "--", "test", "-r", file.toString()), false);
        // With words it is runuser that failed: there is no such user, or this is not root.
        if (tried.exit() != 0 && tried.errors().isBlank()) {
          findings.add(
              Finding.fail(
                  SUBJECT,
                  "the relay's user " + RELAY_USER + " can't read " + file,
                  "the relay does not start, or goes on with what it read before",
                  "chown " + RELAY_USER + " " + file + " && systemctl restart vmferry-relay"));
        }
      } catch (IOException e) {
        return; // no runuser: not known, and the relay says it itself
      }
    }
  }

  /** A date to come, and how far away it is. */
  static String until(Instant now, Instant end) {
    return date(end) + ", in " + Duration.between(now, end).toDays() + " days";
  }

  static String date(Instant instant) {
    return instant.atZone(ZoneOffset.UTC).toLocalDate().toString();
  }
}
