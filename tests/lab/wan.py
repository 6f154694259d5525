# SPDX-License-Identifier: Apache-2.0
"""The WAN between the two hosts: starts wan.c and speaks to its control socket."""

import socket
import subprocess
from dataclasses import dataclass

from .build import compile_c
from .waiting import patient, wait_for

DEVICE = "wan0"
MTU = 9000
ANSWER_TIMEOUT = 2  # seconds; the program answers within one turn of its loop


@dataclass(frozen=True)
class Direction:
    """Settings and counters of one direction. `packets` and `bytes` count what was delivered."""

    delay_us: int
    rate_bit: int
    loss_ppm: int
    queue_bytes: int
    cut: int
    packets: int
    bytes: int
    dropped_loss: int
    dropped_queue: int
    dropped_cut: int
    held_bytes: int


class Wan:
    """A link between two hosts. The first host's traffic to the second has the direction "ab", the other "ba"."""

    def __init__(self, control):
        self._control = str(control)
        self._process = None

    def start(self, a, b, log, die_with_parent, seed=1):
        """Starts the program and configures both ends."""
        program = str(compile_c("wan.c", "wan"))
        command = [program, "--control", self._control, "--seed", str(seed), "--a", str(a.pid), "--b", str(b.pid)]
        if die_with_parent:
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        wait_for(self._answers, 5, f"the WAN program answers (its log: {log})")
        for host, other in ((a, b), (b, a)):
            host.run(["ip", "address", "add", host.address, "peer", other.address, "dev", DEVICE])
            host.run(["ip", "link", "set", DEVICE, "mtu", str(MTU), "up"])

    @property
    def pid(self):
        return self._process.pid

    def kill(self):
        """Ends the program if this object started it; both devices go with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def set(self, direction=None, *, delay_ms=None, rate_mbit=None, loss_percent=None, queue_kib=None):
        """Changes settings while the link runs. Delay is one way; rate 0 is unlimited; queue 0 is automatic:
        256 KiB or the bandwidth-delay product, whichever is more."""
        wanted = {"delay_us": (delay_ms, 1e3), "rate_bit": (rate_mbit, 1e6), "loss_ppm": (loss_percent, 1e4)}
        wanted["queue_bytes"] = (queue_kib, 1024)
        self._set(direction, {key: round(value * unit) for key, (value, unit) in wanted.items() if value is not None})

    def cut(self, direction=None):
        """Nothing gets through any more, nor does what is on the line. Without a direction: both."""
        self._set(direction, {"cut": 1})

    def heal(self, direction=None):
        self._set(direction, {"cut": 0})

    def show(self):
        """Both directions' settings and counters: {"ab": Direction, "ba": Direction}."""
        directions = {}
        for line in self._ask("show").splitlines():
            name, *fields = line.split()
            directions[name] = Direction(**{key: int(value) for key, value in (f.split("=") for f in fields)})
        return directions

    def _set(self, direction, values):
        words = ["set", *([direction] if direction else []), *(f"{key}={value}" for key, value in values.items())]
        answer = self._ask(" ".join(words)).strip()
        if answer != "ok":
            raise ValueError(f"WAN refused {' '.join(words)!r}: {answer}")

    def _ask(self, command):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.settimeout(patient(ANSWER_TIMEOUT))
            client.bind("")  # an address of the kernel's choice, for the answer
            client.sendto(command.encode(), self._control)
            return client.recv(4096).decode()

    def _answers(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"the WAN program ended with status {self._process.returncode}")
        try:
            return bool(self.show())
        except OSError:
            return False
