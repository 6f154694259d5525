// SPDX-License-Identifier: Apache-2.0
/** The status of relay and agent as metrics for Prometheus; docs/metrics.md lists them. */
package io.vmferry.api.metrics;
