// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import io.vmferry.cli.text.Finding;
import io.vmferry.coordinator.hypervisor.DomainXml;
import java.util.List;

/** Which vmferry disks of a domain let their guest see I/O errors. */
public final class DiskPolicy {
  private DiskPolicy() {}

  /** One finding for each such disk. */
  public static List<Finding> check(DomainXml domain) {
    return domain.failing().stream().map(target -> failing(domain.name(), target)).toList();
  }

  private static Finding failing(String domain, String target) {
    return Finding.warn(
        "disk",
        target + " of " + domain + " has no error_policy='stop'",
        "while the relay is away its guest gets I/O errors instead of being paused",
        "virsh edit "
            + domain
            + ": error_policy='stop' rerror_policy='stop' in the driver of "
            + target
            + "; it counts from the next start");
  }
}
