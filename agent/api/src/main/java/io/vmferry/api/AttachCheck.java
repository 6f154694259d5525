// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import java.util.List;

/**
 * What stands in the way of a migration; both lists are empty if nothing does.
 *
 * @param here at the node that was asked, one sentence each
 * @param there at the node that the domain would go to: what its hook would refuse with, or why it
 *     can't be asked
 */
public record AttachCheck(List<String> here, List<String> there) {}
