// SPDX-License-Identifier: Apache-2.0
/**
 * Valid conversations made wrong: for the tests of every protocol that is read here, also in other
 * modules.
 */
package io.vmferry.nbd.fuzz;
