// SPDX-License-Identifier: Apache-2.0
/** The configuration file: strict, all problems reported at once. */
package io.vmferry.config;
