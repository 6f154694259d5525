// SPDX-License-Identifier: Apache-2.0
package io.vmferry.relay.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.handler.ssl.SslProvider;
import io.vmferry.relay.peer.wire.Frame;
import io.vmferry.relay.peer.wire.Hello;
import io.vmferry.relay.peer.wire.Refused;
import io.vmferry.relay.peer.wire.Role;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Whoever isn't a peer gets one line in the log, and the server goes on. */
@ExtendWith(LeakGuard.class)
class PeerServerRefusalTest {
  private final EventLoopGroup loops =
      new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
  private final List<AutoCloseable> opened = new ArrayList<>();
  private final CapturedLog log = new CapturedLog();
  @TempDir private Path directory;
  private TestPki pki;
  private TestPki.Identity good;
  private PeerServer server;
  private InetSocketAddress address;

  @BeforeEach
  void serve() throws Exception {
    pki = new TestPki(directory.resolve("ours"));
    good = pki.issue("a");
    serve(SslProvider.OPENSSL);
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : opened) {
      each.close();
    }
    server.close().await(5, TimeUnit.SECONDS);
    loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).sync();
    log.close();
  }

  @Test
  void plaintext() throws Exception {
    Socket socket = open(new Socket(address.getAddress(), address.getPort()));
    socket.getOutputStream().write("GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
    assertRefused("what it sends isn't TLS");
  }

  @Test
  void noise() throws Exception {
    byte[] noise = new byte[4096];
    new Random(7).nextBytes(noise);
    open(new Socket(address.getAddress(), address.getPort())).getOutputStream().write(noise);
    assertRefused("what it sends isn't TLS");
  }

  @Test
  void connectionThatSaysNothing() throws Exception {
    new Socket(address.getAddress(), address.getPort()).close();
    assertRefused("the peer closed the connection");
  }

  @ParameterizedTest
  @EnumSource(names = {"JDK", "OPENSSL"})
  void certificateOfAnotherAuthority(SslProvider provider) throws Exception {
    serve(provider);
    TestPki.Identity foreign = new TestPki(directory.resolve("theirs")).issue("a");
    handshake(tls(foreign, good));
    assertRefused("its certificate isn't signed by our authority");
  }

  @ParameterizedTest
  @EnumSource(names = {"JDK", "OPENSSL"})
  void expiredCertificate(SslProvider provider) throws Exception {
    serve(provider);
    Duration day = Duration.ofDays(1);
    handshake(tls(pki.issue("CN=a", day.multipliedBy(-2), day.negated()), good));
    assertRefused("its certificate has expired");
  }

  @Test
  void certificateOfTheFuture() throws Exception {
    Duration hour = Duration.ofHours(1);
    handshake(tls(pki.issue("CN=a", hour, hour.multipliedBy(2)), good));
    assertRefused("its certificate isn't valid yet");
  }

  @ParameterizedTest
  @EnumSource(names = {"JDK", "OPENSSL"})
  void noCertificate(SslProvider provider) throws Exception {
    serve(provider);
    handshake(tls(null, good));
    assertRefused("it shows no certificate");
  }

  @Test
  void certificateWithoutName() throws Exception {
    Duration day = Duration.ofDays(1);
    handshake(tls(pki.issue("O=nobody", day.negated(), day), good));
    assertRefused("must have exactly one common name (CN)");
  }

  @Test
  void olderTls() throws Exception {
    Socket socket = tls(good, good);
    ((SSLSocket) socket).setEnabledProtocols(new String[] {"TLSv1.2"});
    handshake(socket);
    assertRefused("TLS");
  }

  @Test
  void nodeThatIsNoPeer() throws Exception {
    Frame answer = hello(tls(pki.issue("c"), good), hello("c"));
    assertThat(answer.getRefused().getCode()).isEqualTo(Refused.Code.NOT_FOUND);
    assertRefused("(node c): node 'c' isn't among the peers of b; add it to them");
  }

  @Test
  void nameThatIsNotTheCertificates() throws Exception {
    Frame answer = hello(tls(good, good), hello("c"));
    assertThat(answer.getRefused().getCode()).isEqualTo(Refused.Code.BAD_REQUEST);
    assertRefused("the hello says node 'c', the certificate says 'a'");
  }

  @Test
  void otherVersion() throws Exception {
    Frame answer = hello(tls(good, good), hello("a").setVersionMin(2).setVersionMax(3));
    assertThat(answer.getRefused().getCode()).isEqualTo(Refused.Code.VERSION);
    assertRefused("b speaks peer protocol 1 to 1, the other node 2 to 3; upgrade the older one");
  }

  @Test
  void unknownRole() throws Exception {
    Frame answer = hello(tls(good, good), hello("a").setRoleValue(9));
    assertThat(answer.getRefused().getCode()).isEqualTo(Refused.Code.UNSUPPORTED);
    assertRefused("b doesn't know role number 9");
  }

  @Test
  void requestBeforeHello() throws Exception {
    Frame request = TestFrames.locate().toBuilder().setId(4).build();
    Frame answer = exchange(tls(good, good), request);
    assertThat(answer.getId()).isEqualTo(4);
    assertRefused("the first frame must be HELLO, not LOCATE");
  }

  @Test
  void brokenFrameInsideTls() throws Exception {
    Socket socket = tls(good, good);
    new DataOutputStream(socket.getOutputStream()).writeLong(1);
    new DataOutputStream(socket.getOutputStream()).writeInt(1);
    assertRefused("broken frame: magic is 0x00000000");
  }

  @Test
  void tooManyStrangers() throws Exception {
    for (int i = 0; i <= PeerServer.MAX_UNAUTHENTICATED; i++) {
      open(new Socket(address.getAddress(), address.getPort()));
    }
    await().until(() -> log.warnings().size() == 1);
    assertThat(log.warnings().get(0)).contains("128 others have not said hello yet");
    for (AutoCloseable socket : opened) {
      socket.close();
    }
    await().until(() -> log.warnings().size() == 2 + PeerServer.MAX_UNAUTHENTICATED - 1);
    assertLives();
  }

  @Test
  void unknownNameToListenOnIsNamed() {
    InetSocketAddress unknown = InetSocketAddress.createUnresolved("nowhere.invalid", 7820);
    assertThatThrownBy(() -> new PeerServer(setup(), "a"::equals, refuse()).listen(unknown).join())
        .cause()
        .isInstanceOf(IOException.class)
        .hasMessageContaining(
            "can't listen for peers on nowhere.invalid:7820: the host name can't be resolved");
  }

  @Test
  void addressInUseIsNamed() {
    assertThatThrownBy(() -> new PeerServer(setup(), "a"::equals, refuse()).listen(address).join())
        .cause()
        .isInstanceOf(IOException.class)
        .hasMessageContaining("can't listen for peers on 127.0.0.1:" + address.getPort() + ": ")
        .hasMessageContaining("is another relay running");
  }

  /** One warning with the reason, and a good peer still gets in. */
  private void assertRefused(String reason) throws Exception {
    await().until(() -> !log.warnings().isEmpty());
    assertLives();
    assertThat(log.warnings())
        .singleElement()
        .asString()
        .startsWith("Refused a peer connection from /127.0.0.1:")
        .contains(reason);
  }

  private void assertLives() throws Exception {
    Frame answer = hello(tls(good, good), hello("a"));
    assertThat(answer.getHello().getNode()).isEqualTo("b");
    assertThat(answer.getHello().getRole()).isEqualTo(Role.CONTROL);
  }

  private void serve(SslProvider provider) throws Exception {
    if (server != null) {
      server.close().await(5, TimeUnit.SECONDS);
    }
    PeerTls tls = pki.issue("b").load(provider);
    Predicate<String> known = node -> node.equals("a");
    server = new PeerServer(setup(tls), known, refuse());
    address = server.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)).join();
  }

  private PeerSetup setup() throws Exception {
    return setup(pki.issue("b").load());
  }

  private PeerSetup setup(PeerTls tls) {
    return new PeerSetup("b", "test", tls, loops, Runnable::run, System::nanoTime, new Random(1));
  }

  private static PeerService refuse() {
    return (peer, role, request, responder) -> {
      throw new AssertionError("no request may come through");
    };
  }

  private static Hello.Builder hello(String node) {
    return Hello.newBuilder()
        .setVersionMin(1)
        .setVersionMax(1)
        .setNode(node)
        .setRole(Role.CONTROL)
        .setSoftware("test");
  }

  private static Frame hello(Socket socket, Hello.Builder hello) throws IOException {
    return exchange(socket, Frame.newBuilder().setId(1).setHello(hello).build());
  }

  /** Sends one frame with an independent encoder and reads one with an independent decoder. */
  private static Frame exchange(Socket socket, Frame frame) throws IOException {
    DataOutputStream out = new DataOutputStream(socket.getOutputStream());
    byte[] header = frame.toByteArray();
    out.writeBytes("VMFY");
    out.writeInt(header.length);
    out.writeInt(0);
    out.write(header);
    out.flush();
    DataInputStream in = new DataInputStream(socket.getInputStream());
    assertThat(in.readNBytes(4)).isEqualTo("VMFY".getBytes(StandardCharsets.US_ASCII));
    int length = in.readInt();
    assertThat(in.readInt()).isZero();
    return Frame.parseFrom(in.readNBytes(length));
  }

  /** In TLS 1.3 the refusal may only show at the first read, or not at all on this side. */
  private static void handshake(Socket socket) {
    try {
      socket.getOutputStream().write(0);
      assertThat(socket.getInputStream().read()).isEqualTo(-1);
    } catch (IOException e) {
      // Expected: the server refuses; its log is what the test looks at.
    }
  }

  /** A plain JDK client with the certificate of {@code own} (null: none). */
  private Socket tls(TestPki.Identity own, TestPki.Identity trusted) throws Exception {
    char[] password = "x".toCharArray();
    KeyStore keys = KeyStore.getInstance(KeyStore.getDefaultType());
    keys.load(null, null);
    if (own != null) {
      X509Certificate certificate = PemFiles.certificates(own.certificate()).get(0);
      PrivateKey key = PemFiles.key(own.key(), certificate, own.certificate());
      keys.setKeyEntry("own", key, password, new X509Certificate[] {certificate});
    }
    KeyStore authorities = KeyStore.getInstance(KeyStore.getDefaultType());
    authorities.load(null, null);
    authorities.setCertificateEntry("authority", PemFiles.certificates(trusted.authority()).get(0));
    KeyManagerFactory keyManagers = KeyManagerFactory.getInstance("SunX509");
    keyManagers.init(keys, password);
    TrustManagerFactory trustManagers =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trustManagers.init(authorities);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keyManagers.getKeyManagers(), trustManagers.getTrustManagers(), null);
    return open(context.getSocketFactory().createSocket(address.getAddress(), address.getPort()));
  }

  private Socket open(Socket socket) throws IOException {
    socket.setSoTimeout(10_000);
    opened.add(socket);
    return socket;
  }
}
