// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.volume;

import static org.assertj.core.api.Assertions.assertThat;

import io.vmferry.relay.sim.VirtualTime;
import io.vmferry.relay.volume.GuestRequest.Kind;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class OpenRequestsTest {
  private final VirtualTime time = new VirtualTime();
  private final OpenRequests open = new OpenRequests(time.new NodeLoop());

  private static GuestRequest request(int offset) {
    return new GuestRequest(null).open(Kind.READ, offset, 512, null, false, null);
  }

  private String oldest() {
    return open.olderThan(Duration.ZERO);
  }

  @Test
  void nothingIsOldWhenNothingIsOpen() {
    assertThat(oldest()).isNull();
    GuestRequest only = request(0);
    open.begin(only);
    open.end(only);
    assertThat(oldest()).isNull();
  }

  @Test
  void requestsThatEndInAnyOrderLeaveTheOldestOfTheRest() {
    for (int seed = 0; seed < 200; seed++) {
      Random random = new Random(seed);
      List<GuestRequest> model = new ArrayList<>();
      for (int step = 0; step < 100; step++) {
        if (model.isEmpty() || random.nextBoolean()) {
          model.add(request(step * 512));
          open.begin(model.get(model.size() - 1));
        } else {
          open.end(model.remove(random.nextInt(model.size())));
        }
        String expected = model.isEmpty() ? null : model.get(0) + " has not ended for 0 s";
        assertThat(oldest()).as("seed %d, step %d", seed, step).isEqualTo(expected);
      }
      model.forEach(open::end);
    }
  }
}
