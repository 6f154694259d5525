// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.pki;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.config.NodeName;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.X500NameBuilder;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.CertIOException;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.util.IPAddress;

/**
 * A certificate authority in a directory: {@code ca.crt}, {@code ca.key}, and {@code NODE.crt} and
 * {@code NODE.key} for each node. Keys are EC P-256. Nothing is ever overwritten.
 */
final class Authority {
  private static final String CURVE = "secp256r1";
  private static final String SIGNATURE = "SHA256withECDSA";

  /** Ten years: replacing the authority means touching every node. */
  private static final Duration CA_VALIDITY = Duration.ofDays(3650);

  /** Five years: longer than a host lives; `vmferry doctor` warns a month before the end. */
  private static final Duration NODE_VALIDITY = Duration.ofDays(1825);

  /** Clocks of new hosts are off; a certificate that is not valid yet is hard to understand. */
  private static final Duration BACKDATING = Duration.ofHours(1);

  /** Bits: unguessable, and below the 20 bytes that X.509 allows. */
  private static final int SERIAL_BITS = 127;

  private final Path directory;
  private final Clock clock;
  private final SecureRandom random = new SecureRandom();

  Authority(Path directory, Clock clock) {
    this.directory = directory;
    this.clock = clock;
  }

  /** Makes the authority's own key and certificate; the directory is made if it is missing. */
  void init() throws CommandFailure {
    if (!Files.isDirectory(directory)) {
      try {
        Files.createDirectory(
            directory,
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      } catch (IOException e) {
        throw new CommandFailure(
            "can't make the directory " + directory + ": " + CommandFailure.reason(e), e);
      }
    }
    refuseIfThere(caKey(), caCertificate());
    try {
      KeyPair keys = newKeys();
      X500Name name = name("vmferry CA");
      Instant now = clock.instant();
      JcaX509v3CertificateBuilder builder = builder(name, name, keys, now, now.plus(CA_VALIDITY));
      builder
          .addExtension(Extension.basicConstraints, true, new BasicConstraints(0))
          .addExtension(
              Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign));
      write(caKey(), caCertificate(), keys.getPrivate(), sign(builder, keys.getPrivate()));
    } catch (GeneralSecurityException | OperatorCreationException | CertIOException e) {
      throw new CommandFailure(
          "can't make a certificate: "
              + e.getMessage()
              + "; try another Java, named in VMFERRY_JAVA",
          e);
    }
  }

  /**
   * Makes a key and a certificate for a node. Peers accept it by its CN; the addresses are for
   * other tools that check names.
   *
   * @param addresses IP addresses and host names
   */
  void issue(String node, List<String> addresses) throws CommandFailure {
    X509Certificate ca = Pem.certificate(caCertificate());
    PrivateKey caKey = Pem.privateKey(caKey());
    refuseIfThere(key(node), certificate(node));
    try {
      KeyPair keys = newKeys();
      Instant now = clock.instant();
      Instant end = now.plus(NODE_VALIDITY);
      Instant caEnd = ca.getNotAfter().toInstant();
      JcaX509v3CertificateBuilder builder =
          builder(
              X500Name.getInstance(ca.getSubjectX500Principal().getEncoded()),
              name(NodeName.check(node)),
              keys,
              now,
              end.isBefore(caEnd) ? end : caEnd);
      builder
          .addExtension(Extension.basicConstraints, true, new BasicConstraints(false))
          .addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature))
          .addExtension(
              Extension.extendedKeyUsage,
              false,
              new ExtendedKeyUsage(
                  new KeyPurposeId[] {
                    KeyPurposeId.id_kp_serverAuth, KeyPurposeId.id_kp_clientAuth
                  }))
          .addExtension(Extension.subjectAlternativeName, false, names(node, addresses))
          .addExtension(
              Extension.authorityKeyIdentifier,
              false,
              new JcaX509ExtensionUtils().createAuthorityKeyIdentifier(ca));
      write(key(node), certificate(node), keys.getPrivate(), sign(builder, caKey));
    } catch (GeneralSecurityException | OperatorCreationException | CertIOException e) {
      throw new CommandFailure(
          "can't make a certificate: "
              + e.getMessage()
              + "; try another Java, named in VMFERRY_JAVA",
          e);
    }
  }

  Path caCertificate() {
    return directory.resolve("ca.crt");
  }

  private Path caKey() {
    return directory.resolve("ca.key");
  }

  Path certificate(String node) {
    return directory.resolve(node + ".crt");
  }

  Path key(String node) {
    return directory.resolve(node + ".key");
  }

  private KeyPair newKeys() throws GeneralSecurityException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(new ECGenParameterSpec(CURVE), random);
    return generator.generateKeyPair();
  }

  private JcaX509v3CertificateBuilder builder(
      X500Name issuer, X500Name subject, KeyPair keys, Instant now, Instant end)
      throws GeneralSecurityException, CertIOException {
    BigInteger serial = new BigInteger(SERIAL_BITS, random).add(BigInteger.ONE);
    JcaX509v3CertificateBuilder builder =
        new JcaX509v3CertificateBuilder(
            issuer,
            serial,
            Date.from(now.minus(BACKDATING)),
            Date.from(end),
            subject,
            keys.getPublic());
    builder.addExtension(
        Extension.subjectKeyIdentifier,
        false,
        new JcaX509ExtensionUtils().createSubjectKeyIdentifier(keys.getPublic()));
    return builder;
  }

  private static X509Certificate sign(JcaX509v3CertificateBuilder builder, PrivateKey key)
      throws OperatorCreationException, GeneralSecurityException {
    return new JcaX509CertificateConverter()
        .getCertificate(builder.build(new JcaContentSignerBuilder(SIGNATURE).build(key)));
  }

  private static X500Name name(String commonName) {
    return new X500NameBuilder(BCStyle.INSTANCE).addRDN(BCStyle.CN, commonName).build();
  }

  private static GeneralNames names(String node, List<String> addresses) {
    List<GeneralName> names = new ArrayList<>();
    names.add(new GeneralName(GeneralName.dNSName, node));
    for (String address : addresses) {
      int type = IPAddress.isValid(address) ? GeneralName.iPAddress : GeneralName.dNSName;
      names.add(new GeneralName(type, address));
    }
    return new GeneralNames(names.toArray(GeneralName[]::new));
  }

  private static void refuseIfThere(Path... files) throws CommandFailure {
    for (Path file : files) {
      if (Files.exists(file)) {
        throw new CommandFailure(
            file + " exists already and is not replaced; move it away to make a new one");
      }
    }
  }

  private static void write(
      Path keyFile, Path certificateFile, PrivateKey key, X509Certificate certificate)
      throws CommandFailure, GeneralSecurityException {
    try {
      Pem.write(keyFile, key);
      try {
        Pem.write(certificateFile, certificate);
      } catch (IOException e) {
        Files.deleteIfExists(keyFile);
        throw e;
      }
    } catch (IOException e) {
      throw new CommandFailure(
          "can't write "
              + keyFile
              + " and "
              + certificateFile
              + ": "
              + CommandFailure.reason(e)
              + "; make room, or choose another directory",
          e);
    }
  }
}
