// SPDX-License-Identifier: Apache-2.0

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectMethod;

import java.util.ArrayList;
import java.util.List;
import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs test classes, or methods written {@code class#method}, until the first failure, without
 * Maven. Prints that failure's test and message. Exit status 0: all passed; 1: one failed; 2:
 * nothing was run, which proves nothing.
 */
final class RunTests {
  private RunTests() {}

  public static void main(String[] names) {
    List<DiscoverySelector> selectors = new ArrayList<>();
    for (String name : names) {
      selectors.add(name.contains("#") ? selectMethod(name) : selectClass(name));
    }
    boolean[] passed = new boolean[1];
    LauncherFactory.create()
        .execute(
            LauncherDiscoveryRequestBuilder.request().selectors(selectors).build(),
            new TestExecutionListener() {
              @Override
              public void executionFinished(TestIdentifier test, TestExecutionResult result) {
                if (result.getStatus() == TestExecutionResult.Status.SUCCESSFUL) {
                  passed[0] |= test.isTest();
                } else {
                  String message = result.getThrowable().map(Throwable::toString).orElse("");
                  System.out.println("FAILED " + test.getUniqueId() + " " + message);
                  System.out.flush();
                  Runtime.getRuntime().halt(1);
                }
              }
            });
    Runtime.getRuntime().halt(passed[0] ? 0 : 2);
  }
}
