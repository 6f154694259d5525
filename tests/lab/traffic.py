# SPDX-License-Identifier: Apache-2.0
"""Measures what TCP connections between two hosts get.

Runs inside the hosts as a program: `traffic.py sink ADDRESS PORT STREAMS` prints bytes per second and ends with its
clients; `traffic.py send ADDRESS PORT SECONDS STREAMS`.
"""

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

PORT = 5001
PIECE = 256 << 10  # bytes per call


def tcp_throughput(source, destination, seconds, streams=1):
    """Bits per second that arrive at the destination host over the given time in all streams together, TCP's slow start
    included."""
    sink = destination.popen(
        ["/usr/bin/python3", __file__, "sink", destination.address, PORT, streams], stdout=subprocess.PIPE, text=True
    )
    try:
        sink.stdout.readline()  # it listens
        send = ["/usr/bin/python3", __file__, "send", destination.address, PORT, seconds, streams]
        source.run(send, timeout=60 + 3 * seconds)
        return 8 * float(sink.stdout.readline())
    finally:
        sink.kill()
        sink.wait()
        sink.stdout.close()


def sink(address, port, streams):
    with socket.create_server((address, port)) as server, ThreadPoolExecutor(streams) as pool:
        print("listening", flush=True)
        clients = [server.accept()[0] for _ in range(streams)]
        began = time.monotonic()
        total = sum(pool.map(drain, clients))
        print(total / (time.monotonic() - began), flush=True)


def drain(client):
    total = 0
    with client:
        while data := client.recv(PIECE):
            total += len(data)
    return total


def send(address, port, seconds, streams):
    connections = [socket.create_connection((address, port)) for _ in range(streams)]
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(lambda connection: push(connection, until), connections))


def push(connection, until):
    data = bytes(PIECE)
    with connection:
        while time.monotonic() < until:
            connection.sendall(data)


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
