// SPDX-License-Identifier: Apache-2.0
/** The commands {@code vmferry openstack}: live migrations through Nova. */
package io.vmferry.cli.openstack;
