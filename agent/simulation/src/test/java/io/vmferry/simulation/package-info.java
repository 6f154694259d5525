// SPDX-License-Identifier: Apache-2.0
/**
 * Two whole hosts in virtual time: the real decision code of two relays and two agents, on
 * simulated disks and links, with a libvirt, QEMUs and a guest that behave as docs/handover.md says
 * that they do. One thread, one clock, one random generator: a seed gives the same run every time.
 */
package io.vmferry.simulation;
