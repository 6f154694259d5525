// SPDX-License-Identifier: Apache-2.0
/** The agent process: libvirt, hooks, migrations. */
package io.vmferry.coordinator;
