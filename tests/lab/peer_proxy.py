#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A proxy on the way from one relay to another that cuts the way at a named message: before a request is handled, or
before its answer is known.

TLS hides the messages, so the proxy ends it on both sides, with the nodes' own certificates, which the lab has issued
itself: towards each relay it is the other one. It forwards frames unchanged; of a frame it understands its lengths, its
id and which message it holds (peer.proto).

The class PeerProxy starts this file in a host, as a program, and speaks to it over a Unix socket: one JSON object per
line in both directions.
"""

import asyncio
import json
import shutil
import socket
import ssl
import struct
import sys

PREFIX = struct.Struct(">4sII")  # magic, length of the header, length of the payload
MAGIC = b"VMFY"
ID_FIELD = 1

# Field numbers of Frame's bodies, and of the role in Hello.
MESSAGES = {10: "hello", 20: "locate", 22: "attach", 24: "detach", 30: "takeover", 32: "complete", 40: "read"}
HELLO_FIELD = 10
ROLE_FIELD = 4
ROLES = {1: "control", 2: "demand", 3: "bulk"}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """{field number: value} of a protobuf message without fixed-size fields; the last one of each number."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            found[key >> 3], at = varint(data, at)
        elif key & 7 == 2:
            length, at = varint(data, at)
            found[key >> 3] = data[at : at + length]
            at += length
        else:
            raise ValueError(f"field {key >> 3} has wire type {key & 7}")
    return found


def message_of(frame):
    """The name of the request in a frame's fields; None for answers and heartbeats."""
    return next((name for number, name in MESSAGES.items() if number in frame), None)


def role_of(frame):
    """The role of the connection whose hello this is."""
    return ROLES[fields(frame[HELLO_FIELD])[ROLE_FIELD]]


class Connection:
    """One connection of the relay, and the one beyond that is made for it."""

    def __init__(self):
        self.writers = []
        self.role = None  # until its hello
        self.awaited = None  # id of the request whose answer is to be cut off

    def abort(self):
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Forwards until it is told to cut at a message; from then on nothing passes until it is healed. What was under
    way is lost then: the old connections are dead."""

    def __init__(self, target, server_tls, client_tls, tell):
        self._target = target
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._tell = tell
        self._whole = asyncio.Event()
        self._whole.set()
        self._wanted = None  # (message, role or None, direction)
        self._connections = set()
        self._serving = set()  # keeps the tasks alive

    # ---- what the test wants

    def arm(self, message, role, direction):
        self._wanted = (message, role, direction)

    def heal(self):
        """Connections that were cut end; attempts that were made meanwhile go on."""
        self.drop()
        self._wanted = None
        self._whole.set()

    def drop(self):
        """All connections end with a reset."""
        for connection in list(self._connections):
            connection.abort()

    # ---- the way

    async def listen(self, port):
        server = socket.create_server(("127.0.0.1", port))
        server.setblocking(False)
        while True:
            accepted, _ = await asyncio.get_running_loop().sock_accept(server)
            serving = asyncio.ensure_future(self._serve(accepted))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)

    async def _serve(self, accepted):
        await self._whole.wait()  # as a TCP handshake whose packets don't arrive
        connection = Connection()
        try:
            reader, writer = await self._shake_hands(accepted)
            connection.writers.append(writer)
            beyond, to_target = await asyncio.open_connection(*self._target, ssl=self._client_tls)
            connection.writers.append(to_target)
            self._connections.add(connection)
            if not self._whole.is_set():
                return
            ways = [self._pump(connection, reader, to_target, True), self._pump(connection, beyond, writer, False)]
            await asyncio.wait([asyncio.ensure_future(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
        except (OSError, ssl.SSLError):
            accepted.close()  # the relays see it as what it is: a lost connection
        finally:
            await self._whole.wait()  # over a cut line nobody hears of an end
            self._connections.discard(connection)
            connection.abort()

    async def _shake_hands(self, accepted):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=self._server_tls)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _pump(self, connection, reader, writer, outward):
        try:
            while True:
                prefix = await reader.readexactly(PREFIX.size)
                magic, header_length, payload_length = PREFIX.unpack(prefix)
                if magic != MAGIC:
                    raise ValueError(f"no frame: {prefix.hex()}")
                header = await reader.readexactly(header_length)
                payload = await reader.readexactly(payload_length)
                self._look(connection, fields(header), outward)
                if not self._whole.is_set():
                    await self._whole.wait()
                    return  # what a cut line carried is lost
                writer.write(prefix + header + payload)
                await writer.drain()
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            return

    def _look(self, connection, frame, outward):
        """Cuts the line if this is the frame to be lost."""
        message = message_of(frame)
        if outward and message == "hello":
            connection.role = role_of(frame)
        if self._wanted is None:
            return
        wanted, role, direction = self._wanted
        if outward and message == wanted and connection.role == (role or "control"):
            if direction == "request":
                self._hit(connection)
            else:
                connection.awaited = frame.get(ID_FIELD, 0)
        elif not outward and connection.awaited is not None and frame.get(ID_FIELD, 0) == connection.awaited:
            self._hit(connection)

    def _hit(self, connection):
        message, _, direction = self._wanted
        self._wanted = None
        connection.awaited = None
        self._whole.clear()
        self._tell({"cut": message, "direction": direction, "role": connection.role})


class Controls:
    """The test's orders, and what is told to it."""

    def __init__(self):
        self.proxy = None
        self._writer = None

    def tell(self, event):
        if self._writer is not None:
            self._writer.write(json.dumps(event).encode() + b"\n")

    async def obey(self, reader, writer):
        self._writer = writer
        async for line in reader:
            order = json.loads(line)
            getattr(self.proxy, order.pop("do"))(**order)
            self.tell({"done": True})


def context(side, folder, own):
    made = ssl.SSLContext(side)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(f"{folder}/ca.crt")
    made.load_cert_chain(f"{folder}/{own}.crt", f"{folder}/{own}.key")
    return made


async def main(port, target, target_port, folder, control):
    controls = Controls()
    controls.proxy = Proxy(
        (target, int(target_port)),
        context(ssl.PROTOCOL_TLS_SERVER, folder, "far"),
        context(ssl.PROTOCOL_TLS_CLIENT, folder, "near"),
        controls.tell,
    )
    await asyncio.start_unix_server(controls.obey, control)
    await controls.proxy.listen(int(port))


# ---- the test's side

PORT = 7821
FOLDER = "/run/lab/proxy"
ANSWER_TIMEOUT = 5  # seconds


class PeerProxy:
    """`with PeerProxy(near, far) as proxy:` runs one in the host of node NEAR, on its way to node FAR; `address` is
    what NEAR's configuration must name for FAR."""

    address = f"127.0.0.1:{PORT}"

    def __init__(self, near, far):
        self._near, self._far = near, far
        self._service = near.host.service("peer-proxy")
        self._socket = None
        self._lines = None
        self._events = []

    def __enter__(self):
        from .waiting import wait_for  # here: the program above is started without its package

        folder = self._near.host.root / FOLDER.lstrip("/")
        folder.mkdir()
        for node, name in ((self._near, "near"), (self._far, "far")):
            own = node.host.root / "etc/vmferry/pki"
            shutil.copy(own / "ca.crt", folder / "ca.crt")
            for kind in ("crt", "key"):
                shutil.copy(own / f"node.{kind}", folder / f"{name}.{kind}")
        target = [self._far.host.address, "7820"]
        self._service.start(["/usr/bin/python3", __file__, PORT, *target, FOLDER, f"{FOLDER}/control"])
        path = folder / "control"
        wait_for(lambda: self._service.check() and path.exists(), ANSWER_TIMEOUT, f"the proxy runs: {self._service.log}")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_TIMEOUT)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r")
        return self

    def __exit__(self, *exception):
        self._lines.close()
        self._socket.close()
        self._service.kill()
        shutil.rmtree(self._near.host.root / FOLDER.lstrip("/"))

    def arm(self, message, role, direction):
        """Cuts at the next such message of a role: "request" loses it, "answer" lets it be handled and loses the
        answer."""
        self._events.clear()
        self._order(do="arm", message=message, role=role, direction=direction)

    def await_cut(self, timeout):
        """Waits until the armed message came."""
        if not self._events:
            self._socket.settimeout(timeout)
            try:
                self._read()
            except TimeoutError:
                raise TimeoutError(f"no such message in {timeout} s, so nothing was cut") from None
            finally:
                self._socket.settimeout(ANSWER_TIMEOUT)

    def heal(self):
        self._order(do="heal")

    def drop(self):
        """All connections end; the relay connects again at once."""
        self._order(do="drop")

    def _order(self, **order):
        self._socket.sendall(json.dumps(order).encode() + b"\n")
        while "done" not in self._read():
            pass

    def _read(self):
        event = json.loads(self._lines.readline())
        if "cut" in event:
            self._events.append(event)
        return event


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
