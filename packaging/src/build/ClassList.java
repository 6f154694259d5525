// SPDX-License-Identifier: Apache-2.0

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Notes which classes vmferry needs: runs two relays, an agent and some commands, moves a volume
 * from one relay to the other, and writes the list of all classes that were loaded. From this list
 * an archive of classes is made where the package is installed (archive-classes.sh).
 *
 * <p>Arguments: the jar, the list to write. On systems other than Linux, where no relay runs,
 * nothing is written; the package works without.
 */
final class ClassList {
  private static final long START_SECONDS = 60;
  private static final long STOP_SECONDS = 30;
  private static final String VOLUME = "v";
  private static final int BLOCK = 4096;

  private final Path jar;
  private final Path folder;
  private final List<Path> lists = new ArrayList<>();
  private final List<Process> running = new ArrayList<>();

  private ClassList(Path jar, Path folder) {
    this.jar = jar;
    this.folder = folder;
  }

  public static void main(String[] arguments) throws Exception {
    if (!System.getProperty("os.name").equals("Linux")) {
      System.err.println("no relay runs on this system: the packages will start a second slower");
      return;
    }
    Path folder = Files.createTempDirectory("vmferry");
    try {
      ClassList classes = new ClassList(Path.of(arguments[0]).toAbsolutePath(), folder);
      Files.write(Path.of(arguments[1]), classes.collect());
    } finally {
      delete(folder);
    }
  }

  private SortedSet<String> collect() throws Exception {
    try {
      run("pki", "init", "ca");
      int[] ports = {freePort(), freePort()};
      for (int i = 0; i < 2; i++) {
        configure(i, ports);
      }
      for (String node : List.of("a", "b")) {
        start("relay", node);
      }
      start("agent", "a");
      for (String socket : List.of("a/relay.sock", "b/relay.sock", "a/agent.sock")) {
        await(folder.resolve(socket));
      }
      command("a", "volume", "create", VOLUME, "--size", "1M");
      guest("a");
      guest("b"); // takes it over
      command("a", "reload", "relay");
      command("b", "status");
      command("b", "volume", "list");
    } finally {
      running.forEach(Process::destroy);
      for (Process process : running) {
        if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
          process.destroyForcibly().waitFor();
        }
      }
    }
    SortedSet<String> classes = new TreeSet<>();
    for (Path list : lists) {
      try (Stream<String> lines = Files.lines(list)) {
        lines.filter(line -> !line.startsWith("#")).forEach(classes::add);
      }
    }
    return classes;
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  private void configure(int number, int[] ports) throws Exception {
    String node = number == 0 ? "a" : "b";
    String peer = number == 0 ? "b" : "a";
    run("pki", "issue", "ca", node);
    Files.createDirectories(folder.resolve(node));
    Files.writeString(
        folder.resolve(node + ".yaml"),
        """
        node: %1$s
        listen: 127.0.0.1:%2$d
        peers:
          %3$s: 127.0.0.1:%4$d
        paths:
          run: %5$s/%1$s
          state: %5$s/%1$s-state
        tls:
          ca: %5$s/ca/ca.crt
          certificate: %5$s/ca/%1$s.crt
          key: %5$s/ca/%1$s.key
        libvirt:
          uri: test:///default
        """
            .formatted(node, ports[number], peer, ports[1 - number], folder));
  }

  // ---- processes

  private ProcessBuilder builder(String... arguments) {
    Path list = folder.resolve("list-" + lists.size());
    lists.add(list);
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-XX:DumpLoadedClassList=" + list,
                "-Djava.io.tmpdir=" + folder,
                "-jar",
                jar.toString()));
    command.addAll(List.of(arguments));
    File log = folder.resolve("log").toFile();
    return new ProcessBuilder(command)
        .directory(folder.toFile())
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(log));
  }

  private void run(String... arguments) throws Exception {
    Process process = builder(arguments).start();
    if (!process.waitFor(START_SECONDS, TimeUnit.SECONDS) || process.exitValue() != 0) {
      process.destroyForcibly();
      throw failure(String.join(" ", arguments) + " did not work");
    }
  }

  private void command(String node, String... arguments) throws Exception {
    List<String> all = new ArrayList<>(List.of(arguments));
    all.addAll(List.of("--config", folder.resolve(node + ".yaml").toString()));
    run(all.toArray(String[]::new));
  }

  private void start(String process, String node) throws IOException {
    running.add(builder(process, "--config", folder.resolve(node + ".yaml").toString()).start());
  }

  private void await(Path socket) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
    while (!Files.exists(socket)) {
      if (System.nanoTime() > deadline || !running.stream().allMatch(Process::isAlive)) {
        throw failure(socket.getFileName() + " is not there");
      }
      Thread.sleep(20);
    }
  }

  private IOException failure(String what) throws IOException {
    Path log = folder.resolve("log");
    return new IOException(what + ":\n" + (Files.exists(log) ? Files.readString(log) : ""));
  }

  // ---- a guest of NBD

  /** Opens the volume as QEMU does, reads, writes, flushes and says goodbye. */
  private void guest(String node) throws IOException {
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      channel.connect(UnixDomainSocketAddress.of(folder.resolve(node).resolve("nbd.sock")));
      DataInputStream in = new DataInputStream(Channels.newInputStream(channel));
      in.skipNBytes(18); // the greeting
      option(channel, 8, new byte[0]); // structured replies
      answer(in);
      option(channel, 7, go());
      while (answer(in) != 1) { // until ACK
      }
      request(channel, 0, 1, new byte[0]); // READ
      skipReply(in);
      request(channel, 1, 2, new byte[BLOCK]); // WRITE
      skipReply(in);
      request(channel, 3, 3, new byte[0]); // FLUSH
      skipReply(in);
      request(channel, 2, 4, new byte[0]); // DISC
    }
  }

  private void option(SocketChannel channel, int option, byte[] data) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    if (option == 8) {
      out.writeInt(3); // fixed newstyle, no zeroes
    }
    out.writeLong(0x49484156454F5054L);
    out.writeInt(option);
    out.writeInt(data.length);
    out.write(data);
    send(channel, bytes);
  }

  /** GO for the volume, with its block size and all else. */
  private static byte[] go() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.writeInt(VOLUME.length());
    out.write(VOLUME.getBytes(StandardCharsets.UTF_8));
    out.writeShort(1);
    out.writeShort(3); // block size
    return bytes.toByteArray();
  }

  /** Type of the reply to an option. */
  private static int answer(DataInputStream in) throws IOException {
    in.skipNBytes(12); // magic, option
    int type = in.readInt();
    in.skipNBytes(in.readInt());
    if (type < 0) {
      throw new IOException("NBD option refused: " + Integer.toHexString(type));
    }
    return type;
  }

  private static void request(SocketChannel channel, int type, long handle, byte[] data)
      throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.writeInt(0x25609513);
    out.writeShort(0);
    out.writeShort(type);
    out.writeLong(handle);
    out.writeLong(0);
    out.writeInt(type > 1 ? 0 : BLOCK);
    out.write(data);
    send(channel, bytes);
  }

  /** A simple reply, or all chunks of a structured one. */
  private static void skipReply(DataInputStream in) throws IOException {
    while (true) {
      if (in.readInt() == 0x67446698) { // simple
        int error = in.readInt();
        in.skipNBytes(8);
        if (error != 0) {
          throw new IOException("NBD error " + error);
        }
        return;
      }
      int flags = in.readUnsignedShort();
      int type = in.readUnsignedShort();
      in.skipNBytes(8);
      in.skipNBytes(in.readInt());
      if (type >= 1 << 15) {
        throw new IOException("NBD error chunk");
      }
      if ((flags & 1) != 0) {
        return; // the last chunk
      }
    }
  }

  private static void send(SocketChannel channel, ByteArrayOutputStream bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes.toByteArray());
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }
}
