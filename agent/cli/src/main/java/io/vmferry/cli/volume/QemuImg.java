// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.volume;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.type.TypeReference;
import io.vmferry.api.Json;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Processes;
import io.vmferry.cli.base.Processes.Result;
import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** QEMU's tool for disk images, reading and writing volumes over the relay's NBD socket. */
public final class QemuImg {
  private static final String PROGRAM = "qemu-img";
  private static final String AGAIN = "nothing is made: remove the cause, then try again";

  private final Processes processes;

  public QemuImg(Processes processes) {
    this.processes = processes;
  }

  /**
   * What an image is.
   *
   * @param virtualSize size of the disk in bytes
   * @param format its format in QEMU's words
   * @param backingFile an image that it builds on
   */
  public record Info(long virtualSize, String format, Optional<String> backingFile) {}

  /** The part of qemu-img's answer that matters here. */
  private record InfoJson(
      @JsonProperty("virtual-size") Long virtualSize,
      @JsonProperty("format") String format,
      @JsonProperty("backing-filename") String backingFile) {}

  /**
   * Looks at an image.
   *
   * @param format its format, or empty to guess
   */
  public Info info(Path image, Optional<String> format) throws CommandFailure {
    List<String> command = new ArrayList<>(List.of(PROGRAM, "info", "--output=json"));
    format.ifPresent(name -> command.addAll(List.of("-f", name)));
    command.add(fileName(image));
    String next = "is it an image that you may read? `qemu-img info " + image + "` must work";
    String output = run(command, false, "read the image " + image, next).output();
    try {
      InfoJson info =
          Json.decodeLenient(output.getBytes(StandardCharsets.UTF_8), new TypeReference<>() {});
      if (info.virtualSize() == null || info.format() == null) {
        throw new IOException("no virtual-size or no format");
      }
      return new Info(info.virtualSize(), info.format(), Optional.ofNullable(info.backingFile()));
    } catch (IOException e) {
      throw new CommandFailure(
          "can't understand what qemu-img says of "
              + image
              + ": "
              + e.getMessage()
              + "; look at `qemu-img info --output=json "
              + image
              + "`",
          e);
    }
  }

  /** Copies an image into a volume that is new, so that its zeroes need not be written. */
  void fill(String volume, Path nbdSocket, Path image, String format, boolean progress)
      throws CommandFailure {
    // convert's default cache mode for what it writes is "unsafe": it would never flush.
    List<String> command = convert(progress);
    command.addAll(List.of("-t", "writeback", "-n", "--target-is-zero"));
    command.addAll(List.of("-f", format, "-O", "raw", fileName(image), uri(volume, nbdSocket)));
    run(command, progress, "import " + image + " into the volume " + volume, AGAIN);
  }

  /** Copies a volume into a new image. */
  void copyOut(String volume, Path nbdSocket, Path image, String format, boolean progress)
      throws CommandFailure {
    List<String> command = convert(progress);
    command.addAll(List.of("-t", "writeback"));
    command.addAll(List.of("-f", "raw", "-O", format, uri(volume, nbdSocket), fileName(image)));
    run(command, progress, "export the volume " + volume + " to " + image, AGAIN);
  }

  private static List<String> convert(boolean progress) {
    List<String> command = new ArrayList<>(List.of(PROGRAM, "convert"));
    if (progress) {
      command.add("-p");
    }
    return command;
  }

  private Result run(List<String> command, boolean show, String purpose, String next)
      throws CommandFailure {
    Result result;
    try {
      result = processes.run(command, show);
    } catch (IOException e) {
      throw new CommandFailure(
          "can't "
              + purpose
              + ": qemu-img does not start; install qemu-utils (Debian) or qemu-img (RHEL)",
          e);
    }
    if (result.exit() != 0) {
      throw new CommandFailure("can't " + purpose + ": " + lastLine(result) + "; " + next);
    }
    return result;
  }

  /** qemu-img's own sentence, without its name. */
  private static String lastLine(Result result) {
    return result
        .errors()
        .lines()
        .filter(line -> !line.isBlank())
        .reduce((first, second) -> second)
        .map(line -> line.replaceFirst("^qemu-img: ", ""))
        .orElse("qemu-img ended with status " + result.exit());
  }

  /** A path that qemu-img can't take for an option or for a protocol such as {@code nbd:}. */
  private static String fileName(Path file) {
    return file.toAbsolutePath().toString();
  }

  private static String uri(String volume, Path nbdSocket) {
    return "nbd+unix:///" + encode(volume) + "?socket=" + encode(nbdSocket.toString());
  }

  private static String encode(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20").replace("%2F", "/");
  }
}
