// SPDX-License-Identifier: Apache-2.0
/** {@code vmferry volume …}. */
package io.vmferry.cli.volume;
