// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * One disk of a domain's definition.
 *
 * <p>Where it is attached (target, address, alias, boot order, serial, limits) stays; only what its
 * data are read from changes, and the driver's settings that depend on it.
 */
final class DiskElement {
  /** What is said of a disk whose data must not be copied away from under others. */
  private static final List<String> HINDRANCES =
      List.of("shareable", "readonly", "transient", "encryption");

  private static final String FILE = "file";
  private static final String SOURCE = "source";

  private final Element disk;

  DiskElement(Element disk) {
    this.disk = disk;
  }

  /** What the guest calls it, such as {@code vda}. */
  String target() {
    return child(disk, "target").map(target -> target.getAttribute("dev")).orElse("?");
  }

  /** The image it is, if it is one. */
  Optional<Path> file() {
    return child(disk, SOURCE)
        .filter(source -> disk.getAttribute("type").equals(FILE) && source.hasAttribute(FILE))
        .map(source -> Path.of(source.getAttribute(FILE)));
  }

  /** Format of the image as the domain says it; QEMU takes it for raw if nothing is said. */
  String format() {
    return child(disk, "driver")
        .map(driver -> driver.getAttribute("type"))
        .filter(type -> !type.isEmpty())
        .orElse("raw");
  }

  /** The volume it is, if it is one of the relay on this socket. */
  Optional<String> volume(Path nbdSocket) {
    return child(disk, SOURCE)
        .filter(source -> source.getAttribute("protocol").equals("nbd"))
        .filter(
            source ->
                child(source, "host")
                    .filter(host -> host.getAttribute("socket").equals(nbdSocket.toString()))
                    .isPresent())
        .map(source -> source.getAttribute("name"));
  }

  /** What its data are read from, to compare: the same text for the same image or volume. */
  String data() {
    return disk.getAttribute("type")
        + child(disk, SOURCE)
            .map(source -> " " + source.getAttribute(FILE) + " " + source.getAttribute("name"))
            .orElse("");
  }

  /** Whether there is anything in it: a drive for CDs may be empty. */
  boolean isFilled() {
    return child(disk, SOURCE).isPresent();
  }

  /** Why it can't become a volume, in words that follow its name; empty if it can. */
  Optional<String> hindrance() {
    String device = disk.getAttribute("device");
    if (!device.isEmpty() && !device.equals("disk")) {
      return Optional.of("is a " + device);
    }
    if (file().isEmpty()) {
      return Optional.of("is no file but of type " + disk.getAttribute("type"));
    }
    for (String hindrance : HINDRANCES) {
      if (disk.getElementsByTagName(hindrance).getLength() > 0) {
        return Optional.of("has <" + hindrance + "/>");
      }
    }
    return Optional.empty();
  }

  /** Its data are a volume from now on, and a lost relay pauses the guest. */
  void becomeVolume(String volume, Path nbdSocket) {
    disk.setAttribute("type", "network");
    Element driver = driver("raw");
    driver.setAttribute("cache", "none");
    driver.setAttribute("discard", "unmap");
    driver.setAttribute("error_policy", "stop");
    driver.setAttribute("rerror_policy", "stop");
    Element source = disk.getOwnerDocument().createElement(SOURCE);
    source.setAttribute("protocol", "nbd");
    source.setAttribute("name", volume);
    Element host = disk.getOwnerDocument().createElement("host");
    host.setAttribute("transport", "unix");
    host.setAttribute("socket", nbdSocket.toString());
    source.appendChild(host);
    replaceSource(source);
  }

  /** Its data are an image from now on, with the defaults of libvirt. */
  void becomeFile(Path image, String format) {
    disk.setAttribute("type", FILE);
    Element driver = driver(format);
    driver.removeAttribute("cache");
    driver.removeAttribute("error_policy");
    driver.removeAttribute("rerror_policy");
    Element source = disk.getOwnerDocument().createElement(SOURCE);
    source.setAttribute(FILE, image.toString());
    replaceSource(source);
  }

  /** The driver, without what belongs to one kind of image or host file only. */
  private Element driver(String format) {
    Element driver =
        child(disk, "driver")
            .orElseGet(
                () -> {
                  Element made = disk.getOwnerDocument().createElement("driver");
                  disk.insertBefore(made, disk.getFirstChild());
                  return made;
                });
    driver.setAttribute("name", "qemu");
    driver.setAttribute("type", format);
    driver.removeAttribute("io");
    child(driver, "metadata_cache").ifPresent(driver::removeChild);
    return driver;
  }

  private void replaceSource(Element source) {
    child(disk, SOURCE).ifPresent(old -> disk.replaceChild(source, old));
    child(disk, "backingStore").ifPresent(disk::removeChild);
  }

  private static Optional<Element> child(Element parent, String name) {
    for (Node node = parent.getFirstChild(); node != null; node = node.getNextSibling()) {
      if (node instanceof Element element && element.getTagName().equals(name)) {
        return Optional.of(element);
      }
    }
    return Optional.empty();
  }
}
