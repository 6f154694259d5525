// SPDX-License-Identifier: Apache-2.0
package io.vmferry.nbd.fuzz;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.IThrowableProxy;
import ch.qos.logback.core.AppenderBase;
import org.slf4j.LoggerFactory;

/**
 * Sees what a package logs as error: an exception that a handler caught is a bug as much as one
 * that escaped. For tests with one thread.
 */
public final class ErrorLog implements AutoCloseable {
  private final Logger logger;
  private final Level before;
  private String first;
  private final AppenderBase<ILoggingEvent> appender =
      new AppenderBase<>() {
        @Override
        protected void append(ILoggingEvent event) {
          // Another test may have let a class below this package say more.
          if (first == null && event.getLevel().isGreaterOrEqual(Level.ERROR)) {
            IThrowableProxy cause = event.getThrowableProxy();
            first = event.getFormattedMessage() + (cause == null ? "" : " " + describe(cause));
          }
        }
      };

  public ErrorLog(String packageName) {
    logger = (Logger) LoggerFactory.getLogger(packageName);
    before = logger.getLevel();
    logger.setLevel(Level.ERROR);
    appender.start();
    logger.addAppender(appender);
  }

  /** Throws if an error was logged since the last call. */
  public void requireNone() {
    if (first != null) {
      String said = first;
      first = null;
      throw new AssertionError("logged as error: " + said);
    }
  }

  @Override
  public void close() {
    logger.detachAppender(appender);
    logger.setLevel(before);
  }

  private static String describe(IThrowableProxy cause) {
    StringBuilder text = new StringBuilder(cause.getClassName() + ": " + cause.getMessage());
    for (int i = 0; i < Math.min(5, cause.getStackTraceElementProxyArray().length); i++) {
      text.append(' ').append(cause.getStackTraceElementProxyArray()[i].getSTEAsString());
    }
    return text.toString();
  }
}
