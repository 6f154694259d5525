// SPDX-License-Identifier: Apache-2.0
/**
 * Live migrations through Nova. OpenStack4j logs in and finds the endpoints; what it can't express
 * (microversions, {@code block_migration: auto}, a server's migrations) are requests of our own on
 * its session. Knows nothing of relay and agent.
 */
package io.vmferry.openstack;
