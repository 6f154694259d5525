// SPDX-License-Identifier: Apache-2.0
package io.vmferry.openstack;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonRootName;
import java.util.List;
import java.util.Map;
import org.openstack4j.openstack.common.Auth;
import org.openstack4j.openstack.identity.v3.domain.KeystoneAuth;

/**
 * The login by application credential, which OpenStack4j has no class for. It keeps this object
 * with the token, and sends it again when the token has expired.
 */
@JsonRootName("auth")
final class ApplicationCredentialAuth extends KeystoneAuth {
  private static final long serialVersionUID = 1L;

  private final transient Proof proof;

  ApplicationCredentialAuth(Login.ApplicationCredential login) {
    super(Auth.Type.CREDENTIALS);
    proof =
        new Proof(
            login.id() != null
                ? Map.of("id", login.id(), "secret", login.secret())
                : Map.of(
                    "name",
                    login.name(),
                    "user",
                    Map.of("name", login.username(), "domain", Map.of("name", login.userDomain())),
                    "secret",
                    login.secret()));
  }

  @Override
  @JsonProperty("identity")
  public Identity getIdentity() {
    return proof;
  }

  // The class above would ask its own field, which is empty.

  @Override
  @JsonIgnore
  public String getUsername() {
    return null;
  }

  @Override
  @JsonIgnore
  public String getPassword() {
    return null;
  }

  @Override
  @JsonIgnore
  public String getId() {
    return null;
  }

  @Override
  @JsonIgnore
  public String getName() {
    return null;
  }

  /** As Keystone wants it. */
  private static final class Proof implements Identity {
    private final Map<String, Object> credential;

    Proof(Map<String, Object> credential) {
      this.credential = credential;
    }

    @JsonProperty("application_credential")
    public Map<String, Object> getCredential() {
      return credential;
    }

    @Override
    @JsonProperty("methods")
    public List<String> getMethods() {
      return List.of("application_credential");
    }

    @Override
    @JsonIgnore
    public Password getPassword() {
      return null;
    }

    @Override
    @JsonIgnore
    public Token getToken() {
      return null;
    }
  }
}
