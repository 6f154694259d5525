// SPDX-License-Identifier: Apache-2.0
/** The relay process: wires the rooms together. */
package io.vmferry.relay;
