// SPDX-License-Identifier: Apache-2.0
/**
 * Volumes whose content comes from a plain NBD server: the way to it, and how such a volume begins.
 */
package io.vmferry.relay.source;
