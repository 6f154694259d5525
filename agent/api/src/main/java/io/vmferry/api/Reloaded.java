// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.util.List;

/**
 * {@code POST /v1/reload} on agent.sock and on relay.sock: what became of the configuration file,
 * which was read again.
 *
 * @param applied changes that are in force, for people
 * @param atRestart keys whose new values need a restart of the process
 */
public record Reloaded(List<String> applied, List<String> atRestart) {}
