// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.List;

/** Reads certificates and keys, and says what is wrong with them before a peer has to. */
public final class PemFiles {
  private static final String KEY_BEGIN = "-----BEGIN PRIVATE KEY-----";
  private static final String KEY_END = "-----END PRIVATE KEY-----";

  private PemFiles() {}

  /** At least one certificate. */
  public static List<X509Certificate> certificates(Path file) throws IOException {
    byte[] content = read(file);
    try {
      List<X509Certificate> found =
          CertificateFactory.getInstance("X.509")
              .generateCertificates(new ByteArrayInputStream(content))
              .stream()
              .map(X509Certificate.class::cast)
              .toList();
      if (found.isEmpty()) {
        throw new CertificateException("the file is empty");
      }
      return found;
    } catch (CertificateException e) {
      throw new IOException(
          file + " holds no PEM certificates: " + e.getMessage() + "; replace it", e);
    }
  }

  /** The private key in {@code file}; proven to be that of {@code certificate}. */
  static PrivateKey key(Path file, X509Certificate certificate, Path certificateFile)
      throws IOException {
    String text = new String(read(file), StandardCharsets.ISO_8859_1);
    int begin = text.indexOf(KEY_BEGIN);
    int end = text.indexOf(KEY_END);
    if (begin < 0 || end < begin) {
      throw new IOException(
          file + " holds no unencrypted PKCS#8 key (" + KEY_BEGIN + "); convert it to that form");
    }
    try {
      String base64 = text.substring(begin + KEY_BEGIN.length(), end);
      byte[] der = Base64.getMimeDecoder().decode(base64);
      String algorithm = certificate.getPublicKey().getAlgorithm();
      PrivateKey key =
          KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(der));
      if (matches(key, certificate)) {
        return key;
      }
    } catch (GeneralSecurityException | IllegalArgumentException e) {
      throw new IOException(
          file + " isn't the key of certificate " + certificateFile + ": " + e.getMessage(), e);
    }
    throw new IOException(
        file
            + " isn't the key of certificate "
            + certificateFile
            + "; take the pair that belongs"
            + " together");
  }

  private static boolean matches(PrivateKey key, X509Certificate certificate)
      throws GeneralSecurityException {
    String algorithm = key.getAlgorithm().equals("EC") ? "SHA256withECDSA" : "SHA256withRSA";
    byte[] probe = certificate.getEncoded();
    Signature signer = Signature.getInstance(algorithm);
    signer.initSign(key);
    signer.update(probe);
    Signature verifier = Signature.getInstance(algorithm);
    verifier.initVerify(certificate.getPublicKey());
    verifier.update(probe);
    return verifier.verify(signer.sign());
  }

  private static byte[] read(Path file) throws IOException {
    try {
      return Files.readAllBytes(file);
    } catch (NoSuchFileException e) {
      throw new IOException(file + " doesn't exist; create it, or correct its path", e);
    } catch (IOException e) {
      throw new IOException(file + " can't be read: " + e + "; check its permissions", e);
    }
  }
}
