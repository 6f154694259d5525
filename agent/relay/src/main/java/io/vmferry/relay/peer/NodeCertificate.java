// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;

/** The name of a node, as its certificate tells it: the subject's one common name (CN). */
final class NodeCertificate {

  private NodeCertificate() {}

  /** Name of the node at the other end of a finished TLS handshake. */
  static String peerOf(SSLSession session) throws CertificateException {
    try {
      return nodeOf((X509Certificate) session.getPeerCertificates()[0]);
    } catch (SSLPeerUnverifiedException e) {
      throw new CertificateException("the peer showed no certificate", e);
    }
  }

  /** Name of the node that {@code certificate} was made for. */
  static String nodeOf(X509Certificate certificate) throws CertificateException {
    String subject = certificate.getSubjectX500Principal().getName();
    List<Rdn> names;
    try {
      names = new LdapName(subject).getRdns();
    } catch (InvalidNameException e) {
      throw new CertificateException("subject '" + subject + "' can't be parsed", e);
    }
    List<Object> commonNames =
        names.stream().filter(n -> n.getType().equalsIgnoreCase("CN")).map(Rdn::getValue).toList();
    if (commonNames.size() == 1 && commonNames.get(0) instanceof String node && !node.isBlank()) {
      return node;
    }
    throw new CertificateException(
        "subject '" + subject + "' must have exactly one common name (CN), the node's name");
  }
}
