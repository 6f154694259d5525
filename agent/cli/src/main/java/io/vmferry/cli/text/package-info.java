// SPDX-License-Identifier: Apache-2.0
/** Text for terminals: tables, bars, amounts. Knows nothing of volumes. */
package io.vmferry.cli.text;
