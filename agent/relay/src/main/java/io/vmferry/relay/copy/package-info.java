// SPDX-License-Identifier: Apache-2.0
/**
 * The WAN part: reading a volume from its origin, on demand and in the background, within a window
 * that keeps the link full and its queue short. Demand and bulk have separate connections, so a
 * guest that misses a block never waits behind bulk data.
 */
package io.vmferry.relay.copy;
