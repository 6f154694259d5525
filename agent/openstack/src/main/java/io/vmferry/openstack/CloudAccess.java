// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

/**
 * How to log in to a cloud. The password is never part of {@link #toString}.
 *
 * @param authUrl Keystone's URL, with or without version
 * @param username user
 * @param password of the user
 * @param userDomain name of the user's domain
 * @param project name of the project to act in
 * @param projectDomain name of the project's domain
 * @param region to choose endpoints of, null for the only one
 * @param endpointType public, internal or admin
 * @param caFile PEM certificates to trust instead of the system's, null for the system's
 */
public record CloudAccess(
    String authUrl,
    String username,
    String password,
    String userDomain,
    String project,
    String projectDomain,
    String region,
    String endpointType,
    String caFile) {

  @Override
  public String toString() {
    return username + "@" + project + " at " + authUrl;
  }
}
