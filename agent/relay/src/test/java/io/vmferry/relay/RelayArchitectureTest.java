// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The direction of the relay's packages: files and maps below, decisions above, wire beside. */
@AnalyzeClasses(packages = "io.vmferry.relay", importOptions = ImportOption.DoNotIncludeTests.class)
final class RelayArchitectureTest {
  @ArchTest
  static final ArchRule filesKnowNoDecisions =
      neverUses("store", "volume", "copy", "handover", "control", "disk", "peer", "exec");

  @ArchTest
  static final ArchRule mapsKnowNoDecisions =
      neverUses("map", "volume", "copy", "handover", "control", "disk", "peer", "exec");

  @ArchTest
  static final ArchRule threadsKnowNothing =
      neverUses("exec", "volume", "copy", "handover", "control", "disk", "peer", "store", "map");

  @ArchTest
  static final ArchRule theWireKnowsNoVolumes =
      neverUses("peer", "volume", "copy", "handover", "control", "disk", "store", "map");

  @ArchTest
  static final ArchRule copyingKnowsNoVolumes =
      neverUses("copy", "volume", "handover", "control", "disk", "store");

  @ArchTest
  static final ArchRule volumesDoNotKnowWhoHandsThemOver =
      neverUses("volume", "handover", "control", "disk", "source");

  @ArchTest
  static final ArchRule serversToFetchFromAreNoPeers =
      neverUses("source", "handover", "control", "disk", "store");

  @ArchTest
  static final ArchRule theHandoverKnowsNoDiskAndNoApi = neverUses("handover", "control", "disk");

  @ArchTest
  static final ArchRule theDiskKnowsOnlyRecords = neverUses("disk", "handover", "control");

  private static ArchRule neverUses(String user, String... never) {
    String[] packages = new String[never.length];
    for (int i = 0; i < never.length; i++) {
      packages[i] = "io.vmferry.relay." + never[i] + "..";
    }
    return noClasses()
        .that()
        .resideInAPackage("io.vmferry.relay." + user + "..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(packages);
  }
}
