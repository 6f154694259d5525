// SPDX-License-Identifier: Apache-2.0
/**
 * What is on disk: data files, durable state files, the journal of held blocks. Nothing here
 * decides anything. Format: docs/on-disk-format.md. Order of durability: data, then bit, then
 * reply.
 */
package io.vmferry.relay.store;
