// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

/** Where nobody listens to what volumes tell. */
public final class Unheard implements Volume.Events {
  @Override
  public void takeoverWanted(Volume volume) {}

  @Override
  public void complete(Volume volume) {}

  @Override
  public void clientsChanged(Volume volume) {}

  @Override
  public void changed(Volume volume, String what) {}
}
