// SPDX-License-Identifier: Apache-2.0
/** Where replicas live on this host: directories, files and maps of each volume. */
package io.vmferry.relay.disk;
