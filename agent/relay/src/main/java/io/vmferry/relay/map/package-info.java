// SPDX-License-Identifier: Apache-2.0
/** Block maps: in memory, in tmpfs (survives the process), and their wire form. */
package io.vmferry.relay.map;
