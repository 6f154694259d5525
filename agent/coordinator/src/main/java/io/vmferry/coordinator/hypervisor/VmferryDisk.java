// SPDX-License-Identifier: Apache-2.0
package io.vmferry.coordinator.hypervisor;

/**
 * A disk that the local relay serves.
 *
 * @param volume export name
 * @param target device name in the domain, for example {@code vda}
 */
public record VmferryDisk(String volume, String target) {}
