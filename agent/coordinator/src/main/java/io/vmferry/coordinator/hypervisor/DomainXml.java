// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.hypervisor;

import java.io.StringReader;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.UUID;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamConstants;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamReader;

/**
 * What a domain's XML says about vmferry.
 *
 * @param uuid libvirt's UUID
 * @param name libvirt's name
 * @param disks its vmferry disks in document order; a volume that is only the mirror of a running
 *     block copy, or part of a backing chain, counts because QEMU has it open as well
 * @param owner node that the metadata names as owner of the volumes, null if none
 * @param preCopy what the metadata wants to be copied before the domain runs at its destination, as
 *     {@code copy.pre-copy} in the configuration; not checked, null if it wants nothing else
 * @param failing target names of those vmferry disks that let the guest see an I/O error, because
 *     not both policies are {@code stop}
 * @param others target names of all other disks that have something in them
 */
public record DomainXml(
    UUID uuid,
    String name,
    List<VmferryDisk> disks,
    String owner,
    String preCopy,
    List<String> failing,
    List<String> others) {

  /** Namespace of the metadata element, which is written here. */
  public static final String NAMESPACE = "https://vmferry.io/xmlns/domain/1";

  /** Namespace of the metadata element that operators write: {@code <migration pre-copy=…/>}. */
  public static final String MIGRATION_NAMESPACE = "https://vmferry.io/xmlns/migration/1";

  /** Prefix that the metadata element gets in the domain's XML. */
  public static final String PREFIX = "vmferry";

  public DomainXml {
    disks = List.copyOf(disks);
    failing = List.copyOf(failing);
    others = List.copyOf(others);
  }

  /** The XML can't be used. The message is one sentence for people. */
  public static final class InvalidException extends Exception {
    private static final long serialVersionUID = 1;

    InvalidException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /**
   * Parses without DTDs and external entities.
   *
   * @param nbdSocket path of the relay's NBD socket: only disks on this path are vmferry disks
   */
  public static DomainXml parse(String xml, String nbdSocket) throws InvalidException {
    try {
      XMLStreamReader reader = factory().createXMLStreamReader(new StringReader(xml));
      try {
        return new Parser(reader, nbdSocket).parse();
      } finally {
        reader.close();
      }
    } catch (XMLStreamException | IllegalArgumentException e) {
      throw new InvalidException("the domain XML can't be read: " + firstLine(e), e);
    }
  }

  /** The element that {@code virDomainSetMetadata} takes; libvirt adds the namespace. */
  public static String ownerMetadata(String node) {
    String escaped =
        node.replace("&", "&amp;")
            .replace("<", "&lt;")
            .replace("'", "&apos;")
            .replace("\"", "&quot;");
    return "<domain><owner node='" + escaped + "'/></domain>";
  }

  private static XMLInputFactory factory() {
    XMLInputFactory factory = XMLInputFactory.newDefaultFactory();
    factory.setProperty(XMLInputFactory.SUPPORT_DTD, false);
    factory.setProperty(XMLInputFactory.IS_SUPPORTING_EXTERNAL_ENTITIES, false);
    factory.setProperty(XMLInputFactory.IS_COALESCING, true);
    return factory;
  }

  private static String firstLine(Exception e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
  }

  /** One pass over the document; {@code path} is the chain of open elements. */
  private static final class Parser {
    private static final String DISK = "/domain/devices/disk";
    private static final String OWNER =
        "/domain/metadata/{" + NAMESPACE + "}domain/{" + NAMESPACE + "}owner";
    private static final String MIGRATION =
        "/domain/metadata/{" + MIGRATION_NAMESPACE + "}migration";

    private final XMLStreamReader in;
    private final String nbdSocket;
    private final Deque<String> path = new ArrayDeque<>();
    private final List<VmferryDisk> disks = new ArrayList<>();
    private final List<String> failing = new ArrayList<>();
    private final List<String> others = new ArrayList<>();
    private final List<String> diskVolumes = new ArrayList<>();
    private boolean stops;
    private boolean filled;
    private UUID uuid;
    private String name;
    private String owner;
    private String preCopy;
    private String nbdExport;
    private String target;

    Parser(XMLStreamReader in, String nbdSocket) {
      this.in = in;
      this.nbdSocket = nbdSocket;
      path.push("");
    }

    DomainXml parse() throws XMLStreamException {
      while (in.hasNext()) {
        switch (in.next()) {
          case XMLStreamConstants.START_ELEMENT -> start();
          case XMLStreamConstants.END_ELEMENT -> end();
          case XMLStreamConstants.CHARACTERS -> text();
          case XMLStreamConstants.DTD -> throw new XMLStreamException("it has a DTD");
          default -> {}
        }
      }
      if (uuid == null || name == null) {
        throw new XMLStreamException("it names no domain, or one without a UUID");
      }
      return new DomainXml(uuid, name, disks, owner, preCopy, failing, others);
    }

    private void start() {
      String uri = in.getNamespaceURI();
      String qualified = uri == null ? in.getLocalName() : "{" + uri + "}" + in.getLocalName();
      path.push(path.peek() + "/" + qualified);
      String here = path.peek();
      if (here.equals(OWNER)) {
        owner = attribute("node");
      } else if (here.equals(MIGRATION)) {
        preCopy = attribute("pre-copy");
      } else if (here.equals(DISK)) {
        diskVolumes.clear();
        target = null;
        stops = false;
        filled = false;
      } else if (here.equals(DISK + "/target")) {
        target = attribute("dev");
      } else if (here.equals(DISK + "/driver")) {
        // What is said of errors holds for those of reads, unless that is said as well.
        String ofReads = attribute("rerror_policy");
        stops =
            "stop".equals(attribute("error_policy")) && (ofReads == null || ofReads.equals("stop"));
      } else if (here.startsWith(DISK + "/") && here.endsWith("/source")) {
        filled = true;
        nbdExport = "nbd".equals(attribute("protocol")) ? attribute("name") : null;
      } else if (here.startsWith(DISK + "/") && here.endsWith("/source/host")) {
        boolean ours =
            "unix".equals(attribute("transport")) && nbdSocket.equals(attribute("socket"));
        if (ours && nbdExport != null) {
          diskVolumes.add(nbdExport);
        }
      }
    }

    private void end() {
      if (path.pop().equals(DISK)) {
        diskVolumes.forEach(volume -> disks.add(new VmferryDisk(volume, target)));
        String disk = target == null ? "without target" : target;
        if (diskVolumes.isEmpty() && filled) {
          others.add(disk);
        } else if (!diskVolumes.isEmpty() && !stops) {
          failing.add(disk);
        }
      }
    }

    private void text() {
      switch (path.peek()) {
        case "/domain/uuid" -> uuid = UUID.fromString(in.getText().strip());
        case "/domain/name" -> name = in.getText();
        default -> {}
      }
    }

    private String attribute(String attribute) {
      return in.getAttributeValue(null, attribute);
    }
  }
}
