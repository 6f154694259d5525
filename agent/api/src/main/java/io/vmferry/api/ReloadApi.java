// SPDX-License-Identifier: Apache-2.0
package io.vmferry.api;

import com.linecorp.armeria.server.annotation.Blocking;
import com.linecorp.armeria.server.annotation.Post;
import java.util.concurrent.Callable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads the configuration again when asked to, and says in the log what became of it. */
public final class ReloadApi {
  private static final Logger log = LoggerFactory.getLogger(ReloadApi.class);

  private final Callable<Reloaded> reload;

  /**
   * @param reload blocks; an exception says why nothing is changed
   */
  public ReloadApi(Callable<Reloaded> reload) {
    this.reload = reload;
  }

  /** REFUSED if the file can't be applied: then nothing is changed. */
  @Post("/v1/reload")
  @Blocking
  public Reloaded reload() {
    Reloaded reloaded;
    try {
      reloaded = reload.call();
    } catch (Exception e) {
      String reason = e.getMessage() == null ? e.toString() : e.getMessage();
      log.error(
          "the configuration was read again and is refused, nothing is changed; correct it and"
              + " reload again: {}",
          reason);
      throw new ProblemException(
          Problem.Code.REFUSED,
          "the configuration is refused, nothing is changed; correct it and reload again: "
              + reason);
    }
    log.info(
        "the configuration was read again: {}",
        reloaded.applied().isEmpty() ? "nothing to change" : String.join("; ", reloaded.applied()));
    if (!reloaded.atRestart().isEmpty()) {
      log.warn("changed, but in force only after a restart: {}", reloaded.atRestart());
    }
    return reloaded;
  }
}
