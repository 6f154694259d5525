// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

/**
 * How to log in to a cloud. No secret is part of {@link #toString}.
 *
 * @param authUrl Keystone's URL, with or without version
 * @param login who logs in
 * @param region to choose endpoints of, null for the only one
 * @param endpointType public, internal or admin
 * @param caFile PEM certificates to trust instead of the system's, null for the system's
 */
public record CloudAccess(
    String authUrl, Login login, String region, String endpointType, String caFile) {

  @Override
  public String toString() {
    return login + " at " + authUrl;
  }
}
