// SPDX-License-Identifier: Apache-2.0
/** {@code vmferry doctor}: what is wrong with this node, and how to mend it. */
package io.vmferry.cli.doctor;
