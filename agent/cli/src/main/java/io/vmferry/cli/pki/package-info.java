// SPDX-License-Identifier: Apache-2.0
/** {@code vmferry pki …}: a small certificate authority for sites that have none. */
package io.vmferry.cli.pki;
