// SPDX-License-Identifier: Apache-2.0
/** {@code vmferry status} and {@code vmferry rate}. */
package io.vmferry.cli.status;
