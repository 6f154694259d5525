// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The direction of dependencies, over all modules: this one has all of them on its class path. */
@AnalyzeClasses(packages = "io.vmferry", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
  private static final String OURS = "io.vmferry..";
  private static final String NBD = "io.vmferry.nbd..";
  private static final String CONFIG = "io.vmferry.config..";
  private static final String API = "io.vmferry.api..";
  private static final String RELAY = "io.vmferry.relay..";
  private static final String COORDINATOR = "io.vmferry.coordinator..";
  private static final String OPENSTACK = "io.vmferry.openstack..";
  private static final String CLI = "io.vmferry.cli..";

  @ArchTest static final ArchRule nbdUsesNothingOfOurs = usesOnly(NBD, NBD);

  @ArchTest static final ArchRule configUsesNothingOfOurs = usesOnly(CONFIG, CONFIG);

  @ArchTest static final ArchRule apiUsesNothingOfOurs = usesOnly(API, API);

  @ArchTest
  static final ArchRule theRelayDoesNotKnowTheAgent = usesOnly(RELAY, RELAY, NBD, CONFIG, API);

  @ArchTest
  static final ArchRule theAgentDoesNotKnowTheRelay =
      usesOnly(COORDINATOR, COORDINATOR, CONFIG, API);

  @ArchTest static final ArchRule openstackUsesNothingOfOurs = usesOnly(OPENSTACK, OPENSTACK);

  @ArchTest
  static final ArchRule onlyTheCommandLineKnowsAll =
      noClasses().that().resideOutsideOfPackage(CLI).should().dependOnClassesThat(in(CLI));

  @ArchTest
  static final ArchRule onlyTheAgentKnowsLibvirt =
      noClasses()
          .that()
          .resideOutsideOfPackage(COORDINATOR)
          .should()
          .dependOnClassesThat()
          .resideInAPackage("org.libvirt..");

  @ArchTest
  static final ArchRule packagesHaveNoCycles =
      slices().matching("io.vmferry.(**)").should().beFreeOfCycles();

  private static ArchRule usesOnly(String user, String... used) {
    return noClasses()
        .that()
        .resideInAPackage(user)
        .should()
        .dependOnClassesThat(in(OURS).and(JavaClass.Predicates.resideOutsideOfPackages(used)));
  }

  private static DescribedPredicate<JavaClass> in(String packages) {
    return JavaClass.Predicates.resideInAPackage(packages);
  }
}
