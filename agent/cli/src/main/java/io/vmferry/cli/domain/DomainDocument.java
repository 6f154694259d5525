// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.coordinator.hypervisor.DomainXml;
import java.io.IOException;
import java.io.StringReader;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerException;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;
import org.xml.sax.SAXException;

/** A domain's definition, to change its disks and leave all else as it is. */
final class DomainDocument {
  private static final String NO_DTD = "http://apache.org/xml/features/disallow-doctype-decl";

  private final Document document;

  private DomainDocument(Document document) {
    this.document = document;
  }

  /** Reads libvirt's XML. */
  static DomainDocument parse(String domain, String xml) throws CommandFailure {
    try {
      DocumentBuilderFactory factory = DocumentBuilderFactory.newDefaultNSInstance();
      factory.setFeature(NO_DTD, true);
      return new DomainDocument(
          factory.newDocumentBuilder().parse(new InputSource(new StringReader(xml))));
    } catch (SAXException | IOException | ParserConfigurationException e) {
      throw new CommandFailure(
          "the definition of the domain "
              + domain
              + " can't be read: "
              + e.getMessage()
              + "; look at `virsh dumpxml --inactive "
              + domain
              + "`",
          e);
    }
  }

  /** Its disks, in order; what is changed in them is changed here. */
  List<DiskElement> disks() {
    NodeList found = document.getDocumentElement().getElementsByTagName("disk");
    List<DiskElement> disks = new ArrayList<>();
    for (int i = 0; i < found.getLength(); i++) {
      Element disk = (Element) found.item(i);
      if (disk.getParentNode().getNodeName().equals("devices")) {
        disks.add(new DiskElement(disk));
      }
    }
    return disks;
  }

  /** Whether each disk of the other one is here, and reads its data from the same place. */
  boolean hasDisksOf(DomainDocument other) {
    Map<String, String> here =
        disks().stream()
            .collect(Collectors.toMap(DiskElement::target, DiskElement::data, (one, two) -> one));
    return other.disks().stream().allMatch(disk -> disk.data().equals(here.get(disk.target())));
  }

  /** Removes what an earlier life as owner of volumes has left: it would send a search astray. */
  void forgetOwner() {
    NodeList found = document.getElementsByTagNameNS(DomainXml.NAMESPACE, "domain");
    while (found.getLength() > 0) {
      found.item(0).getParentNode().removeChild(found.item(0));
    }
  }

  /** As libvirt takes it. */
  String xml() {
    try {
      Transformer writer = TransformerFactory.newDefaultInstance().newTransformer();
      writer.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
      StringWriter text = new StringWriter();
      writer.transform(new DOMSource(document), new StreamResult(text));
      return text.toString();
    } catch (TransformerException e) {
      throw new IllegalStateException("can't write what could be read", e);
    }
  }
}
