// SPDX-License-Identifier: Apache-2.0
/** What all commands share: the world around them, the configuration, how they fail. */
package io.vmferry.cli.base;
