// SPDX-License-Identifier: Apache-2.0
/**
 * {@link io.vmferry.coordinator.hypervisor.Hypervisor} on libvirt.
 *
 * <p>libvirt-java opens connections, runs the event loop and makes the calls it knows. What it
 * lacks (raw details of lifecycle events, migration events, state with its reason, disk errors) is
 * bound here with JNA.
 */
package io.vmferry.coordinator.libvirt;
