// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.pki;

import static java.nio.charset.StandardCharsets.US_ASCII;

import io.vmferry.cli.base.CommandFailure;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Certificates and private keys as PEM files. */
public final class Pem {
  private static final int LINE_LENGTH = 64;
  private static final String CERTIFICATE = "CERTIFICATE";
  private static final String PRIVATE_KEY = "PRIVATE KEY";
  private static final Pattern BLOCK =
      Pattern.compile("-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\\s]+)-----END PRIVATE KEY-----");

  /** What a node's key may be; TLS 1.3 knows no others. */
  private static final List<String> KEY_ALGORITHMS = List.of("EC", "RSA", "EdDSA");

  private Pem() {}

  /** Reads the first certificate of a file. */
  public static X509Certificate certificate(Path file) throws CommandFailure {
    try (var stream = Files.newInputStream(file)) {
      return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(stream);
    } catch (IOException e) {
      throw unreadable("certificate", file, CommandFailure.reason(e), e);
    } catch (GeneralSecurityException e) {
      throw unreadable("certificate", file, "it is not a PEM certificate", e);
    }
  }

  /** Reads an unencrypted PKCS #8 key. */
  public static PrivateKey privateKey(Path file) throws CommandFailure {
    byte[] encoded;
    try {
      Matcher block = BLOCK.matcher(Files.readString(file, US_ASCII));
      if (!block.find()) {
        throw new IOException("it has no block BEGIN PRIVATE KEY (PKCS #8, without password)");
      }
      encoded = Base64.getMimeDecoder().decode(block.group(1));
    } catch (IOException | IllegalArgumentException e) {
      String reason = e instanceof IOException io ? CommandFailure.reason(io) : "bad Base64";
      throw unreadable("key", file, reason, e);
    }
    for (String algorithm : KEY_ALGORITHMS) {
      try {
        return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(encoded));
      } catch (InvalidKeySpecException e) {
        // Another algorithm's key: the next may read it.
      } catch (GeneralSecurityException e) {
        throw unreadable("key", file, e.getMessage(), e);
      }
    }
    throw unreadable("key", file, "it is none of " + KEY_ALGORITHMS, null);
  }

  private static CommandFailure unreadable(String kind, Path file, String reason, Throwable cause) {
    return new CommandFailure(
        "can't read the " + kind + " " + file + ": " + reason + "; `vmferry pki` makes such files",
        cause);
  }

  /** Writes a certificate that all may read; an existing file is never replaced. */
  static void write(Path file, X509Certificate certificate)
      throws IOException, GeneralSecurityException {
    create(file, "rw-r--r--", encode(CERTIFICATE, certificate.getEncoded()));
  }

  /** Writes a key that only its owner may read; an existing file is never replaced. */
  static void write(Path file, PrivateKey key) throws IOException {
    create(file, "rw-------", encode(PRIVATE_KEY, key.getEncoded()));
  }

  private static String encode(String type, byte[] content) {
    String base64 = Base64.getMimeEncoder(LINE_LENGTH, new byte[] {'\n'}).encodeToString(content);
    return "-----BEGIN " + type + "-----\n" + base64 + "\n-----END " + type + "-----\n";
  }

  /** The mode is there from the first byte on. */
  private static void create(Path file, String mode, String text) throws IOException {
    var permissions = PosixFilePermissions.fromString(mode);
    try (FileChannel channel =
        FileChannel.open(
            file,
            Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
            PosixFilePermissions.asFileAttribute(permissions))) {
      ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(US_ASCII));
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      channel.force(true);
    }
    // The umask may have taken bits away.
    Files.setPosixFilePermissions(file, permissions);
  }
}
