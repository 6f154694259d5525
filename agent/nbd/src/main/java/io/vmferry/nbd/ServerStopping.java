// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd;

/** User event to each connection: end as soon as nobody waits for an answer. */
enum ServerStopping {
  EVENT
}
