// SPDX-License-Identifier: Apache-2.0
/**
 * What the agent decides.
 *
 * <p>All decisions are made on one thread, the {@link io.vmferry.coordinator.migration.Scheduler}.
 * An event of libvirt only says where to look now; what is done follows from what libvirt and the
 * relay say, and the same is looked at again every few seconds. So an event that is missed, late or
 * doubled costs time and nothing else.
 */
package io.vmferry.coordinator.migration;
