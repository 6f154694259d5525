// SPDX-License-Identifier: Apache-2.0
/**
 * Who owns a volume: finding the owner, attaching to it, taking over, telling it that all is here.
 *
 * <p>The rules are in docs/handover.md. Each change is durable at the releasing side before it is
 * answered, and at the receiving side before it is used.
 */
package io.vmferry.relay.handover;
