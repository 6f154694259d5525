// SPDX-License-Identifier: Apache-2.0
/** {@code vmferry relay} and {@code vmferry agent}: the two processes that run for long. */
package io.vmferry.cli.process;
