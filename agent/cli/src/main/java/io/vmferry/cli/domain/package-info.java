// SPDX-License-Identifier: Apache-2.0
/** {@code vmferry domain …}: libvirt's domains and their vmferry disks. */
package io.vmferry.cli.domain;
