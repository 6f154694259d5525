# SPDX-License-Identifier: Apache-2.0
"""Measures what a TCP connection between two hosts gets.

Runs inside the hosts as a program: `traffic.py sink ADDRESS PORT` prints bytes per second and ends with its first
client; `traffic.py send ADDRESS PORT SECONDS`.
"""

import socket
import subprocess
import sys
import time

PORT = 5001
PIECE = 256 << 10  # bytes per call


def tcp_throughput(source, destination, seconds):
    """Bits per second that arrive at the destination host over the given time, TCP's slow start included."""
    sink = destination.popen(
        ["/usr/bin/python3", __file__, "sink", destination.address, PORT], stdout=subprocess.PIPE, text=True
    )
    try:
        sink.stdout.readline()  # it listens
        source.run(["/usr/bin/python3", __file__, "send", destination.address, PORT, seconds])
        return 8 * float(sink.stdout.readline())
    finally:
        sink.kill()
        sink.wait()
        sink.stdout.close()


def sink(address, port):
    with socket.create_server((address, port)) as server:
        print("listening", flush=True)
        client, _ = server.accept()
        began = time.monotonic()
        total = 0
        while data := client.recv(PIECE):
            total += len(data)
        print(total / (time.monotonic() - began), flush=True)


def send(address, port, seconds):
    with socket.create_connection((address, port)) as connection:
        data = bytes(PIECE)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            connection.sendall(data)


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink(sys.argv[2], int(sys.argv[3]))
    else:
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
