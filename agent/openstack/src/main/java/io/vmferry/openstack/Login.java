// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

/** Who logs in to a cloud, and how that is proved. No secret is part of any {@code toString}. */
public sealed interface Login {
  /** What may be wrong if Keystone refuses it, for people. */
  String suspects();

  /**
   * A user, in a project.
   *
   * @param username user
   * @param password of the user
   * @param userDomain name of the user's domain
   * @param project name of the project to act in
   * @param projectDomain name of the project's domain
   */
  record Password(
      String username, String password, String userDomain, String project, String projectDomain)
      implements Login {
    @Override
    public String suspects() {
      return "user, password, project and domains";
    }

    @Override
    public String toString() {
      return username + "@" + project;
    }
  }

  /**
   * What a user has made for a program: it acts in the project, and with the roles, that were given
   * to it then.
   *
   * @param id of the credential; null if name and user say which it is
   * @param name of the credential, which only its user knows it by; null with an id
   * @param username the credential's user; null with an id
   * @param userDomain name of the user's domain; null with an id
   * @param secret what proves it
   */
  record ApplicationCredential(
      String id, String name, String username, String userDomain, String secret) implements Login {
    @Override
    public String suspects() {
      return "its secret, and whether it has expired";
    }

    @Override
    public String toString() {
      return "application credential " + (id == null ? name + " of " + username : id);
    }
  }
}
