// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli.domain;

import io.vmferry.cli.base.CommandFailure;
import io.vmferry.cli.base.Surroundings.Interrupts;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/**
 * Gives a domain other disks: all of them, or none. What was made for them is deleted again if the
 * domain keeps the ones it has, and stays if it may have the new ones. Blocks.
 */
final class DiskSwap {
  /** Makes what the disks change to, and changes the disks of the definition. */
  @FunctionalInterface
  interface Work {
    /**
     * Does it all.
     *
     * @param made takes, for each thing that was made, what deletes it
     */
    void run(Consumer<Runnable> made) throws CommandFailure;
  }

  private final Interrupts interrupts;
  private final ShutOffDomain domain;

  DiskSwap(Interrupts interrupts, ShutOffDomain domain) {
    this.interrupts = interrupts;
    this.domain = domain;
  }

  /**
   * Works, then hands the definition to libvirt.
   *
   * @param definition the domain's, which the work changes
   */
  void run(DomainDocument definition, Work work) throws CommandFailure {
    // Read by the thread that a signal starts.
    List<Runnable> made = new CopyOnWriteArrayList<>();
    Runnable undo = () -> made.forEach(Runnable::run);
    var interrupt = interrupts.undo(undo);
    try {
      work.run(made::add);
    } catch (CommandFailure | RuntimeException e) {
      undo.run();
      throw e;
    } finally {
      // From here on a signal leaves things that no domain uses, at worst; never the reverse.
      interrupt.end();
    }
    definition.forgetOwner();
    domain.redefine(definition, undo);
  }
}
