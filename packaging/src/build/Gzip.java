// SPDX-License-Identifier: Apache-2.0

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPOutputStream;

/**
 * Compresses files as `gzip -9n` does, which Debian wants for documentation: best compression, said
 * so in the header, and no time. Arguments: pairs of source and target.
 */
final class Gzip {
  /** Byte of the header that says how hard the writer tried, and the value for "as hard as it could". */
  private static final int XFL = 8;

  private static final byte BEST = 2;

  private Gzip() {}

  public static void main(String[] arguments) throws IOException {
    for (int i = 0; i < arguments.length; i += 2) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      try (GZIPOutputStream gzip = new Best(out)) {
        Files.copy(Path.of(arguments[i]), gzip);
      }
      byte[] compressed = out.toByteArray();
      compressed[XFL] = BEST;
      Path target = Path.of(arguments[i + 1]);
      Files.createDirectories(target.getParent());
      Files.write(target, compressed);
    }
  }

  private static final class Best extends GZIPOutputStream {
    Best(ByteArrayOutputStream out) throws IOException {
      super(out);
      def.setLevel(java.util.zip.Deflater.BEST_COMPRESSION);
    }
  }
}
