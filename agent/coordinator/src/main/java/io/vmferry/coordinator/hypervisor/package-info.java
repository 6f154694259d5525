// SPDX-License-Identifier: Apache-2.0
/** What the agent needs to know of, and do to, the domains of its host; no libvirt in it. */
package io.vmferry.coordinator.hypervisor;
