// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.netty.buffer.Unpooled;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.handler.ssl.SslProvider;
import io.vmferry.config.HostPort;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Role;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Link and server of two nodes, over TLS on loopback. */
@ExtendWith(LeakGuard.class)
class NettyPeerLinkTest {
  private static TestPki pki;
  private static PeerTls tlsA;
  private static PeerTls tlsB;

  private final EventLoopGroup loops =
      new MultiThreadIoEventLoopGroup(2, EpollIoHandler.newFactory());
  private final ExecutorService executor = Executors.newSingleThreadExecutor();
  private final Queue<PeerService.Responder> held = new ConcurrentLinkedQueue<>();
  private final List<AutoCloseable> opened = new ArrayList<>();
  private final AtomicInteger ups = new AtomicInteger();
  private volatile PeerService service = (peer, role, request, responder) -> held.add(responder);
  private CapturedLog log;

  @BeforeAll
  static void issueCertificates(@TempDir Path directory) throws Exception {
    pki = new TestPki(directory);
    tlsA = pki.issue("a").load();
    tlsB = pki.issue("b").load();
  }

  @BeforeEach
  void capture() {
    log = new CapturedLog();
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : opened) {
      each.close();
    }
    loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).sync();
    executor.shutdown();
    log.close();
  }

  @Test
  void requestIsAnsweredOverEachRole() {
    NettyPeerLink link = startedLink(serve(0));
    service =
        (peer, role, request, responder) -> {
          assertThat(peer).isEqualTo("a");
          responder.answer(TestFrames.done(), null, true);
        };
    for (Role role : List.of(Role.CONTROL, Role.DEMAND, Role.BULK)) {
      Frame request = role == Role.CONTROL ? TestFrames.locate() : TestFrames.read(0, 4096);
      RecordedAnswers answers = call(link, role, request);
      await().until(() -> !answers.ends().isEmpty());
      assertThat(answers.order()).containsExactly("DONE", RecordedAnswers.GOOD_END);
    }
  }

  @Test
  void payloadsOfSeveralFramesArrive() {
    NettyPeerLink link = startedLink(serve(0));
    service =
        (peer, role, request, responder) -> {
          responder.answer(
              TestFrames.extent(0, 5), Unpooled.copiedBuffer(new byte[] {1, 2, 3, 4, 5}), false);
          responder.answer(
              TestFrames.extent(5, 1_000_000),
              Unpooled.directBuffer(1_000_000).writeZero(1_000_000),
              true);
        };
    RecordedAnswers answers = call(link, Role.BULK, TestFrames.read(0, 1_000_005));
    await().until(() -> !answers.ends().isEmpty());
    assertThat(answers.payloads().get(0)).containsExactly(1, 2, 3, 4, 5);
    assertThat(answers.payloads().get(1)).hasSize(1_000_000).containsOnly(0);
  }

  @Test
  void roundTripIsMeasured() {
    NettyPeerLink link = link(serve(0));
    assertThat(link.roundTrip()).isEqualTo(RoundTrip.UNKNOWN);
    link.start();
    await().until(() -> link.roundTrip().least() > 0);
    assertThat(link.roundTrip().least()).isLessThan(TimeUnit.SECONDS.toNanos(5));
  }

  @Test
  void firstCallOpensTheLinkAndFails() {
    NettyPeerLink link = link(serve(0));
    assertThat(link.up()).isFalse();
    assertThat(link.problem()).isEqualTo("not connected yet");
    RecordedAnswers answers = call(link, Role.BULK, TestFrames.read(0, 1));
    await().until(() -> !answers.ends().isEmpty());
    assertThat((Exception) answers.ends().get(0))
        .isInstanceOf(LinkDownException.class)
        .hasMessage("no BULK connection to peer b: not connected yet");
    await().until(link::up);
    assertThat(link.problem()).isNull();
  }

  @Test
  void demandCallWaitsForItsConnectionWhileControlStands() {
    service = (peer, role, request, responder) -> responder.answer(TestFrames.done(), null, true);
    NettyPeerLink link = link(serve(0));
    call(link, Role.CONTROL, TestFrames.locate());
    await().until(link::up);
    RecordedAnswers answers = call(link, Role.DEMAND, TestFrames.read(0, 1));
    await().until(() -> !answers.ends().isEmpty());
    assertThat(answers.ends()).containsExactly(RecordedAnswers.GOOD_END);
  }

  @Test
  void callsUnderWayEndOnceWhenThePeerGoes() {
    PeerServer server = server();
    NettyPeerLink link = startedLink(listen(server, 0));
    RecordedAnswers control = call(link, Role.CONTROL, TestFrames.locate());
    RecordedAnswers bulk = callWhenReady(link, Role.BULK);
    await().until(() -> held.size() == 2);
    server.close().syncUninterruptibly();
    await().until(() -> !control.ends().isEmpty() && !bulk.ends().isEmpty());
    await().until(() -> !link.up());

    assertThat(control.ends()).hasSize(1);
    assertThat((Exception) bulk.ends().get(0))
        .isInstanceOf(LinkDownException.class)
        .hasMessage("no BULK connection to peer b: the peer closed the connection");
    assertThat(control.frames()).isEmpty();
    held.forEach(r -> r.answer(TestFrames.done(), Unpooled.directBuffer().writeInt(1), true));
  }

  @Test
  void linkComesBackAndSaysSo() {
    PeerServer first = server();
    HostPort address = listen(first, 0);
    NettyPeerLink link = startedLink(address);
    await().until(() -> ups.get() == 1);
    first.close().syncUninterruptibly();
    await().until(() -> !link.up());
    assertThat(link.problem()).isNotNull();
    RecordedAnswers meanwhile = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> !meanwhile.ends().isEmpty());
    assertThat(meanwhile.ends().get(0)).isInstanceOf(LinkDownException.class);

    listen(server(), address.port());
    await().until(link::up);
    await().until(() -> ups.get() == 2);
    service = (peer, role, request, responder) -> responder.answer(TestFrames.done(), null, true);
    RecordedAnswers answers = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> !answers.ends().isEmpty());
    assertThat(answers.ends()).containsExactly(RecordedAnswers.GOOD_END);
  }

  @Test
  void aCallFindsThePeerThatWasJustHeardOf() throws Exception {
    HostPort address = TestProxy.closedPort();
    NettyPeerLink link = link(address);
    link.start();
    await().until(() -> link.problem().contains("Connection refused"));
    service = (peer, role, request, responder) -> responder.answer(TestFrames.done(), null, true);
    serve(address.port());
    link.peerIsThere();
    RecordedAnswers answers = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> !answers.ends().isEmpty());
    assertThat(answers.ends()).containsExactly(RecordedAnswers.GOOD_END);
  }

  @Test
  void whoIsHeardOfAndNotThereFailsTheCall() throws Exception {
    NettyPeerLink link = link(TestProxy.closedPort());
    link.start();
    await().until(() -> link.problem().contains("Connection refused"));
    link.peerIsThere();
    RecordedAnswers answers = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> !answers.ends().isEmpty());
    assertThat(answers.ends().get(0)).isInstanceOf(LinkDownException.class);
  }

  @Test
  void theServiceLearnsOfAPeerBeforeItsRequests() {
    List<String> order = new CopyOnWriteArrayList<>();
    PeerService recording =
        new PeerService() {
          @Override
          public void connected(String peer) {
            order.add(peer);
          }

          @Override
          public void handle(String peer, Role role, Frame request, Responder responder) {
            order.add(role.toString());
            responder.answer(TestFrames.done(), null, true);
          }
        };
    PeerServer server = new PeerServer(setup("b", tlsB), "a"::equals, recording);
    opened.add(() -> server.close().await(5, TimeUnit.SECONDS));
    NettyPeerLink link = startedLink(listen(server, 0));
    RecordedAnswers answers = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> !answers.ends().isEmpty());
    assertThat(order).containsExactly("a", "CONTROL");
  }

  @Test
  void eachLossIsLogged() throws Exception {
    try (TestProxy proxy = new TestProxy(serve(0))) {
      startedLink(proxy.address());
      for (int loss = 1; loss <= 3; loss++) {
        int losses = loss;
        await().until(() -> ups.get() == losses);
        proxy.cut();
        await().until(() -> log.with("No CONTROL connection to peer b").size() == losses);
      }
    }
  }

  @Test
  void sameProblemIsLoggedOnce() throws Exception {
    HostPort nobody = TestProxy.closedPort();
    NettyPeerLink link = link(nobody);
    link.start();
    await().until(() -> log.warnings().size() >= 5);
    // Two more rounds of attempts happen within the second; none adds a line for its connection.
    await().pollDelay(1, TimeUnit.SECONDS).until(() -> !link.up());
    assertThat(log.warnings())
        .hasSize(5)
        .allMatch(m -> m.contains(" at " + nobody + ": "))
        .allMatch(m -> m.contains("Connection refused"));
    assertThat(link.problem()).contains("Connection refused");
  }

  @Test
  void unresolvableNameIsAProblemNotAnError() {
    NettyPeerLink link = link(new HostPort("nowhere.invalid", 7820));
    link.start();
    await().until(() -> "host name nowhere.invalid can't be resolved".equals(link.problem()));
  }

  @Test
  void hostNameIsResolved() {
    HostPort real = serve(0);
    NettyPeerLink link = startedLink(new HostPort("localhost", real.port()));
    assertThat(link.up()).isTrue();
  }

  @Test
  void swallowedBytesAreNoticed() throws Exception {
    try (TestProxy proxy = new TestProxy(serve(0))) {
      NettyPeerLink link = startedLink(proxy.address());
      RecordedAnswers answers = call(link, Role.CONTROL, TestFrames.locate());
      await().until(() -> held.size() == 1);
      proxy.swallow(true);
      await().atMost(20, TimeUnit.SECONDS).until(() -> !answers.ends().isEmpty());
      assertThat((Exception) answers.ends().get(0)).hasMessageContaining("nothing heard for 5 s");
      assertThat(answers.ends()).hasSize(1);
      proxy.swallow(false);
      await().atMost(20, TimeUnit.SECONDS).until(() -> ups.get() == 2);
    }
  }

  @Test
  void wrongNodeAtTheAddressIsRefused() {
    HostPort address = serve(0);
    NettyPeerLink link = new NettyPeerLink(setup("a", tlsA), "c", address, 1);
    opened.add(link);
    link.start();
    String expected =
        "node 'b' answers there, not 'c'; correct the peer's address in the configuration";
    await().until(() -> expected.equals(link.problem()));
  }

  @Test
  void serverOfAnotherAuthorityIsRefused(@TempDir Path directory) throws Exception {
    PeerTls foreign = new TestPki(directory, "other authority").issue("b").load();
    PeerServer impostor = new PeerServer(setup("b", foreign), node -> true, service);
    opened.add(() -> impostor.close().await(5, TimeUnit.SECONDS));
    NettyPeerLink link = link(listen(impostor, 0));
    link.start();
    await().until(() -> link.problem().startsWith("its certificate isn't signed by our authority"));
  }

  @Test
  void certificateThatThePeerRefusesIsTheProblem(@TempDir Path directory) throws Exception {
    // This side trusts the peer, but the peer's authority hasn't signed this side's certificate.
    TestPki.Identity own = new TestPki(directory, "other authority").issue("a");
    PeerTls distrusted = PeerTls.load(pki.issue("a").authority(), own.certificate(), own.key());
    NettyPeerLink link = new NettyPeerLink(setup("a", distrusted), "b", serve(0), 1);
    opened.add(link);
    link.start();
    await().until(() -> link.problem().startsWith("the peer refuses our TLS ("));
  }

  @Test
  void refusalOfThePeerIsTheProblem() {
    PeerServer stranger = new PeerServer(setup("b", tlsB), node -> false, service);
    opened.add(() -> stranger.close().await(5, TimeUnit.SECONDS));
    NettyPeerLink link = link(listen(stranger, 0));
    link.start();
    await()
        .until(
            () ->
                "it refuses us: node 'a' isn't among the peers of b; add it to them"
                    .equals(link.problem()));
  }

  @Test
  void aServerThatFailsOverAHelloClosesTheConnection() {
    PeerServer broken =
        new PeerServer(
            setup("b", tlsB),
            node -> {
              throw new IllegalStateException("broken");
            },
            service);
    opened.add(() -> broken.close().await(5, TimeUnit.SECONDS));
    NettyPeerLink link = link(listen(broken, 0));
    link.start();
    await().until(() -> link.problem().contains("closed the connection"));
  }

  @Test
  void bulkCallsSpreadOverTheConnections() {
    NettyPeerLink link = startedLink(serve(0));
    await().until(() -> log.with("(BULK)").size() == 3);
    List<RecordedAnswers> all = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      all.add(call(link, Role.BULK, TestFrames.read(0, 4096)));
    }
    await().until(() -> held.size() == 6);
    assertThat(link.outstandingBulkBytes()).containsExactly(8192L, 8192L, 8192L);
    held.forEach(r -> r.answer(TestFrames.done(), null, true));
    await().until(() -> all.stream().allMatch(a -> !a.ends().isEmpty()));
    assertThat(link.outstandingBulkBytes()).containsExactly(0L, 0L, 0L);
  }

  @Test
  void closedLinkEndsItsCalls() {
    NettyPeerLink link = startedLink(serve(0));
    RecordedAnswers before = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> held.size() == 1);
    link.close();
    RecordedAnswers after = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> !before.ends().isEmpty() && !after.ends().isEmpty());
    for (RecordedAnswers answers : List.of(before, after)) {
      assertThat((Exception) answers.ends().get(0))
          .hasMessage("no CONTROL connection to peer b: the link was closed on this side");
    }
    assertThat(link.up()).isFalse();
  }

  /** As when a peer has lost a connection that still stands here. */
  @Test
  void aSecondControlConnectionOfAPeerFencesTheFirst() {
    HostPort address = serve(0);
    NettyPeerLink first = startedLink(address);
    RecordedAnswers control = call(first, Role.CONTROL, TestFrames.locate());
    RecordedAnswers bulk = callWhenReady(first, Role.BULK);
    await().until(() -> held.size() == 2);
    PeerService.Responder asked = held.stream().filter(r -> !r.fenced()).findFirst().orElseThrow();
    assertThat(held).noneMatch(PeerService.Responder::fenced);

    NettyPeerLink second = link(address);
    RecordedAnswers newer = call(second, Role.CONTROL, TestFrames.locate());
    await().until(second::up);
    assertThat(asked.fenced() || List.copyOf(held).get(1).fenced()).as("before it is up").isTrue();
    await().until(() -> !control.ends().isEmpty());
    first.close();
    assertThat((Exception) control.ends().get(0)).isInstanceOf(LinkDownException.class);
    assertThat(held.stream().filter(PeerService.Responder::fenced)).as("BULK is not").hasSize(1);
    assertThat(log.with("the peer has a newer connection")).isNotEmpty();
    assertThat(newer.ends()).hasSize(1);
    assertThat(bulk.frames()).isEmpty();
  }

  @Test
  void callsAfterTheEventLoopsAreGoneEnd() throws Exception {
    NettyPeerLink link = link(TestProxy.closedPort());
    loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).sync();
    RecordedAnswers answers = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> !answers.ends().isEmpty());
    assertThat((Exception) answers.ends().get(0)).hasMessageContaining("shutting down");
  }

  @Test
  void wrongUseIsRefusedAtOnce() {
    NettyPeerLink link = link(serve(0));
    assertThatThrownBy(() -> call(link, Role.ROLE_UNSPECIFIED, TestFrames.locate()))
        .isInstanceOf(IllegalArgumentException.class);
    Frame huge =
        Frame.newBuilder()
            .setLocate(
                TestFrames.locate().getLocate().toBuilder().addNames("x".repeat(1024 * 1024)))
            .build();
    assertThatThrownBy(() -> call(link, Role.CONTROL, huge))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("allowed are 1 to 1048576");
    assertThatThrownBy(() -> new NettyPeerLink(setup("a", tlsA), "b", TestProxy.closedPort(), 17))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("17 bulk connections, allowed are 1 to 16");
    assertThatThrownBy(() -> new NettyPeerLink(setup("a", tlsA), "b", TestProxy.closedPort(), 0))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @EnumSource(names = {"JDK", "OPENSSL"})
  void bothTlsImplementationsUnderstandEachOther(SslProvider provider) throws Exception {
    service = (peer, role, request, responder) -> responder.answer(TestFrames.done(), null, true);
    SslProvider other = provider == SslProvider.JDK ? SslProvider.OPENSSL : SslProvider.JDK;
    PeerServer server =
        new PeerServer(setup("b", pki.issue("b").load(other)), "a"::equals, service);
    opened.add(() -> server.close().await(5, TimeUnit.SECONDS));
    NettyPeerLink link =
        new NettyPeerLink(setup("a", pki.issue("a").load(provider)), "b", listen(server, 0), 1);
    opened.add(link);
    link.start();
    await().until(link::up);
    RecordedAnswers answers = call(link, Role.CONTROL, TestFrames.locate());
    await().until(() -> !answers.ends().isEmpty());
    assertThat(answers.ends()).containsExactly(RecordedAnswers.GOOD_END);
  }

  @Test
  void aNodeThatIsNoPeerAnyMoreLosesItsConnections() {
    Set<String> known = ConcurrentHashMap.newKeySet();
    known.add("a");
    PeerServer server = new PeerServer(setup("b", tlsB), known::contains, service);
    opened.add(() -> server.close().await(5, TimeUnit.SECONDS));
    NettyPeerLink link = startedLink(listen(server, 0));
    server.closeStrangers();
    assertThat(log.with("no peer any more")).isEmpty();
    known.clear();
    server.closeStrangers();
    await().until(() -> link.problem() != null && link.problem().contains("isn't among the peers"));
    assertThat(log.with("no peer any more")).isNotEmpty();
  }

  @Test
  void aRenewedCertificateIsShownToNewConnectionsOnly() throws Exception {
    PeerTls mine = pki.issue("a").load();
    PeerTls renewed = pki.issue("CN=a", Duration.ofDays(-1), Duration.ofDays(9)).load();
    assertThat(mine.sameAs(renewed)).isFalse();
    assertThat(mine.sameAs(mine)).isTrue();
    HostPort address = serve(0);
    NettyPeerLink link = new NettyPeerLink(setup("a", mine), "b", address, 1);
    opened.add(link);
    link.start();
    await().until(link::up);
    mine.become(renewed);
    assertThat(mine.validUntil()).isEqualTo(renewed.validUntil());
    assertThat(link.up()).isTrue();
    NettyPeerLink later = new NettyPeerLink(setup("a", mine), "b", address, 1);
    opened.add(later);
    later.start();
    await().until(later::up);
    PeerTls other = pki.issue("c").load();
    assertThatThrownBy(() -> mine.become(other)).isInstanceOf(IllegalArgumentException.class);
  }

  private RecordedAnswers call(NettyPeerLink link, Role role, Frame request) {
    RecordedAnswers answers = new RecordedAnswers();
    link.call(role, request, executor, answers);
    return answers;
  }

  private RecordedAnswers callWhenReady(NettyPeerLink link, Role role) {
    await().until(() -> log.with("(" + role + ")").size() >= 1);
    return call(link, role, TestFrames.read(0, 4096));
  }

  private PeerSetup setup(String node, PeerTls tls) {
    return new PeerSetup(
        node, "vmferry test", tls, loops, executor, System::nanoTime, new Random(1));
  }

  private PeerServer server() {
    PeerServer server =
        new PeerServer(
            setup("b", tlsB),
            "a"::equals,
            (peer, role, request, responder) -> service.handle(peer, role, request, responder));
    opened.add(() -> server.close().await(5, TimeUnit.SECONDS));
    return server;
  }

  private HostPort listen(PeerServer server, int port) {
    InetSocketAddress real =
        server.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), port)).join();
    return new HostPort(real.getAddress().getHostAddress(), real.getPort());
  }

  private HostPort serve(int port) {
    return listen(server(), port);
  }

  private NettyPeerLink link(HostPort address) {
    NettyPeerLink link = new NettyPeerLink(setup("a", tlsA), "b", address, 3);
    link.onUp(executor, ups::incrementAndGet);
    opened.add(link);
    return link;
  }

  private NettyPeerLink startedLink(HostPort address) {
    NettyPeerLink link = link(address);
    link.start();
    await().until(link::up);
    return link;
  }
}
