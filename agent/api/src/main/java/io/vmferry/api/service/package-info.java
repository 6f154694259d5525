// SPDX-License-Identifier: Apache-2.0
/** What relay and agent tell the service manager that started them: ready, alive, stopping. */
package io.vmferry.api.service;
