// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import io.vmferry.api.RelayClient;
import io.vmferry.api.VolumeStatus;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.volume.ImageExport;
import io.vmferry.config.Config;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Turns the volumes of a domain into images. */
@Command(
    name = "release",
    description = {
      "Turn the disks of a domain that are volumes into image files, named VOLUME.FORMAT.",
      "The domain must be shut off. The volumes are kept. If anything fails, nothing is changed."
    })
public final class DomainRelease extends ConfiguredCommand {
  /** The formats of image that can be written. */
  enum Format {
    raw,
    qcow2
  }

  @Parameters(paramLabel = "DOMAIN", description = "libvirt's name or UUID of the domain.")
  private String domain;

  @Option(
      names = "--directory",
      paramLabel = "DIR",
      defaultValue = "/var/lib/libvirt/images",
      description = "Where the images are written; default: ${DEFAULT-VALUE}.")
  private Path directory;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "qcow2",
      description = "${COMPLETION-CANDIDATES}; default: ${DEFAULT-VALUE}.")
  private Format format;

  public DomainRelease(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    Config config = config();
    ShutOffDomain found = ShutOffDomain.find(surroundings(), config.libvirtUri(), domain);
    DomainDocument document = DomainDocument.parse(found.name(), found.definition());
    List<String> done = new ArrayList<>();
    try (RelayClient relay = new RelayClient(config.paths().relaySocket())) {
      Map<DiskElement, String> volumes = volumes(found, document, config, relay);
      ImageExport exports = new ImageExport(surroundings(), relay, config.paths(), this::warn);
      new DiskSwap(surroundings().interrupts(), found)
          .run(
              document,
              made -> {
                for (Map.Entry<DiskElement, String> entry : volumes.entrySet()) {
                  DiskElement disk = entry.getKey();
                  String volume = entry.getValue();
                  Path file = file(volume);
                  exports.run(volume, file, format.name(), false);
                  made.accept(() -> remove(file));
                  disk.becomeFile(file, format.name());
                  done.add(
                      disk.target()
                          + " is "
                          + file
                          + "; the volume is kept: `vmferry volume delete "
                          + volume
                          + "` when it is not needed any more");
                }
              });
    }
    done.forEach(out()::println);
    return OK;
  }

  private Path file(String volume) {
    return directory.toAbsolutePath().resolve(volume + "." + format);
  }

  /** The disks that become images: all are looked at before one is. */
  private Map<DiskElement, String> volumes(
      ShutOffDomain found, DomainDocument document, Config config, RelayClient relay)
      throws CommandFailure {
    Map<DiskElement, String> volumes = new LinkedHashMap<>();
    for (DiskElement disk : document.disks()) {
      Optional<String> volume = disk.volume(config.paths().nbdSocket());
      if (volume.isEmpty()) {
        continue;
      }
      Path file = file(volume.get());
      if (Files.exists(file)) {
        throw new CommandFailure(
            file + " exists already; move it away, or choose another --directory");
      }
      VolumeStatus status = await(relay.volume(volume.get()));
      if (status.clients() > 0) {
        throw new CommandFailure(
            "the volume "
                + volume.get()
                + " is open though "
                + found.name()
                + " is shut off; end the program that uses it: `vmferry volume show "
                + volume.get()
                + "`");
      }
      volumes.put(disk, volume.get());
    }
    if (volumes.isEmpty()) {
      throw new CommandFailure(
          "the domain "
              + found.name()
              + " has no disk on "
              + config.paths().nbdSocket()
              + ", so there is nothing to release; `virsh domblklist --details "
              + found.name()
              + "` shows its disks");
    }
    return volumes;
  }

  private void remove(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      warn("the image " + file + " is left: " + CommandFailure.reason(e) + "; remove it");
    }
  }
}
