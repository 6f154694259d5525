// SPDX-License-Identifier: Apache-2.0
/** The relay's control API on relay.sock; the records are in io.vmferry.api. */
package io.vmferry.relay.control;
