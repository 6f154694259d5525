// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import io.vmferry.api.RelayClient;
import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.ConfiguredCommand;
import io.vmferry.cli.base.Surroundings;
import io.vmferry.cli.volume.ImageImport;
import io.vmferry.cli.volume.QemuImg;
import io.vmferry.config.Config;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Turns the images of a domain into volumes. */
@Command(
    name = "adopt",
    description = {
      "Turn the disks of a domain that are image files into volumes, named DOMAIN-TARGET.",
      "The domain must be shut off. The images are kept. If anything fails, nothing is changed."
    })
public final class DomainAdopt extends ConfiguredCommand {
  @Parameters(paramLabel = "DOMAIN", description = "libvirt's name or UUID of the domain.")
  private String domain;

  public DomainAdopt(Surroundings surroundings) {
    super(surroundings);
  }

  @Override
  public Integer call() throws Exception {
    Config config = config();
    ShutOffDomain found = ShutOffDomain.find(surroundings(), config.libvirtUri(), domain);
    DomainDocument document = DomainDocument.parse(found.name(), found.definition());
    Map<DiskElement, QemuImg.Info> images = images(found, document, config);
    List<String> done = new ArrayList<>();
    try (RelayClient relay = new RelayClient(config.paths().relaySocket())) {
      ImageImport imports =
          new ImageImport(surroundings(), relay, config.paths().nbdSocket(), this::warn);
      new DiskSwap(surroundings().interrupts(), found)
          .run(
              document,
              made -> {
                for (Map.Entry<DiskElement, QemuImg.Info> image : images.entrySet()) {
                  DiskElement disk = image.getKey();
                  Path file = disk.file().orElseThrow();
                  String volume = found.name() + "-" + disk.target();
                  imports.run(volume, file, image.getValue());
                  made.accept(() -> imports.undo(volume));
                  disk.becomeVolume(volume, config.paths().nbdSocket());
                  done.add(disk.target() + " is the volume " + volume + "; " + file + " is kept");
                }
              });
    }
    done.forEach(out()::println);
    return OK;
  }

  /** The disks that become volumes and what their images are: all are looked at before one is. */
  private Map<DiskElement, QemuImg.Info> images(
      ShutOffDomain found, DomainDocument document, Config config) throws CommandFailure {
    QemuImg qemuImg = new QemuImg(surroundings().processes());
    Map<DiskElement, QemuImg.Info> images = new LinkedHashMap<>();
    for (DiskElement disk : document.disks()) {
      Optional<String> hindrance = disk.hindrance();
      if (disk.volume(config.paths().nbdSocket()).isPresent() || !disk.isFilled()) {
        continue;
      }
      if (hindrance.isPresent()) {
        warn(disk.target() + " stays as it is: it " + hindrance.get());
        continue;
      }
      // The domain says the format: nothing is guessed from what its guest has written.
      images.put(disk, qemuImg.info(disk.file().orElseThrow(), Optional.of(disk.format())));
    }
    if (images.isEmpty()) {
      throw new CommandFailure(
          "the domain "
              + found.name()
              + " has no disk that could become a volume; `virsh domblklist --details "
              + found.name()
              + "` shows its disks");
    }
    return images;
  }
}
