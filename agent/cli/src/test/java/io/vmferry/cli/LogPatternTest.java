// SPDX-License-Identifier: Apache-2.0
package io.vmferry.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.joran.JoranConfigurator;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.LoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import ch.qos.logback.core.joran.spi.JoranException;
import java.net.URL;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.slf4j.event.KeyValuePair;

/** The shipped logging configuration, in a context of its own. */
class LogPatternTest {
  private static String line(KeyValuePair... pairs) throws JoranException {
    LoggerContext context = new LoggerContext();
    URL shipped = LogPatternTest.class.getResource("/logback.xml");
    JoranConfigurator configurator = new JoranConfigurator();
    configurator.setContext(context);
    configurator.doConfigure(shipped);
    Logger logger = context.getLogger("io.vmferry.Some");
    LoggingEvent event =
        new LoggingEvent("", logger, Level.INFO, "said {}", null, new Object[] {1});
    event.setKeyValuePairs(List.of(pairs));
    ConsoleAppender<ILoggingEvent> stderr =
        (ConsoleAppender<ILoggingEvent>)
            context.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME).getAppender("stderr");
    return new String(stderr.getEncoder().encode(event), UTF_8);
  }

  @Test
  void whatALineIsAboutStandsAtItsEnd() throws JoranException {
    assertThat(line(new KeyValuePair("volume", "db"), new KeyValuePair("epoch", "2@b")))
        .matches("[0-9T:.-]+Z INFO  Some: said 1 volume=db epoch=2@b\n");
  }

  @Test
  void aLineAboutNothingInParticularEndsWithItsMessage() throws JoranException {
    assertThat(line()).endsWith(" Some: said 1\n");
  }
}
