# SPDX-License-Identifier: Apache-2.0
"""Measures downtime from outside: the guest's own clock stands still while it is paused.

The guest writes a byte every 5 ms to its second serial port. On both hosts this class listens and notes when each byte
comes, by one clock.
"""

import selectors
import socket
import threading
import time

from .waiting import wait_for

POLL = 0.005  # seconds between looks for the destination's socket
FIRST_BYTE_TIMEOUT = 15  # seconds from the end of `virsh migrate` to the first byte at the destination


class Heartbeat:
    """Listens between `with` and its end. `sockets` are (host name, path); the first is the source."""

    def __init__(self, sockets):
        self._waiting = dict(sockets)
        self._source, self._destination = ([name for name, _ in sockets] + [None])[:2]
        self.beats = {name: [] for name, _ in sockets}  # host name -> times (time.monotonic) of its bytes
        self._began = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="heartbeat", daemon=True)

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: self.beats[self._source], 5, f"the guest's heart beats on {self._source}")
        self._began = time.monotonic()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        self._thread.join()

    def await_destination(self):
        beats = self.beats[self._destination]
        wait_for(lambda: beats, FIRST_BYTE_TIMEOUT, f"the guest's heart beats on {self._destination}")

    @property
    def downtime(self):
        """Seconds from the last byte at the source to the first at the destination; off by at most 5 ms and what
        the machine's scheduling adds."""
        return self.beats[self._destination][0] - self.beats[self._source][-1]

    @property
    def time_to_run(self):
        """Seconds from the start of the `with` block to the first byte at the destination."""
        return self.beats[self._destination][0] - self._began

    @property
    def longest_silence(self):
        """The longest time in seconds without a byte from anywhere."""
        times = sorted(time for beats in self.beats.values() for time in beats)
        return max((later - earlier for earlier, later in zip(times, times[1:])), default=0.0)

    def _listen(self):
        with selectors.DefaultSelector() as selector:
            while not self._ended.is_set():
                self._connect(selector)
                for key, _ in selector.select(POLL):
                    self._receive(selector, key)
            for key in list(selector.get_map().values()):
                key.fileobj.close()

    def _connect(self, selector):
        for name, path in list(self._waiting.items()):
            client = socket.socket(socket.AF_UNIX)
            try:
                client.connect(str(path))
            except OSError:
                client.close()
                continue
            selector.register(client, selectors.EVENT_READ, name)
            del self._waiting[name]

    def _receive(self, selector, key):
        try:
            data = key.fileobj.recv(4096)
        except OSError:
            data = b""
        if data:
            self.beats[key.data].append(time.monotonic())
        else:  # this QEMU has ended
            selector.unregister(key.fileobj)
            key.fileobj.close()
