# SPDX-License-Identifier: Apache-2.0
"""How long vmferry takes to start: the relay until a guest's first read is answered, and a command until it has ended.

On a lab host, from the installed package, as its units start it; with the package's class data archive and with the
JDK's own, in turns.
"""

import os
import statistics
import sys
import time

import nbd

from .lab import Lab
from .nbd_client import NbdClient
from .product import COMMAND, Product

ROUNDS = 5
TIMEOUT = 30  # seconds
VOLUME = "start"
SIZE = 1 << 20

# Those that the launcher gives a command.
COMMAND_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xmx256m"

# The archive that comes with Java has none of the program's classes.
VARIANTS = {"package's archive": "", "Java's archive": "-XX:SharedArchiveFile={home}/lib/server/classes.jsa"}


def relay_start(node, options):
    """Seconds from the start of the unit's command to the answer to the first read."""
    node.kill("relay")
    began = time.monotonic()
    node.begin("relay", options)
    while True:
        try:
            client = NbdClient(node, VOLUME)
        except nbd.Error:
            node.service("relay").check()
            if time.monotonic() - began > TIMEOUT:
                raise
            time.sleep(0.002)
        else:
            client.read(0, 4096)
            taken = time.monotonic() - began
            client.close()
            return taken


def command_time(node, options):
    """Seconds that a short command takes; the relay answers at once."""
    environment = ["env", f"VMFERRY_JAVA_OPTS={COMMAND_OPTIONS} {options}"] if options else []
    began = time.monotonic()
    node.host.run([*environment, COMMAND, "volume", "list"])
    return time.monotonic() - began


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with Lab() as lab, Product(lab, services=["relay"]) as product:
        node = product.a
        node.relay.post("/v1/volumes", {"name": VOLUME, "size": SIZE})
        java = lab.a.run(["sh", "-c", ". /usr/share/vmferry/java.sh; readlink -f $java"]).stdout.strip()
        home = java.removesuffix("/bin/java")
        times = {}
        for _ in range(rounds):
            for name, options in VARIANTS.items():
                options = options.format(home=home)
                times.setdefault(f"relay to first NBD reply, {name}", []).append(relay_start(node, options))
                times.setdefault(f"vmferry volume list, {name}", []).append(command_time(node, options))
    print(f"{rounds} rounds, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors")
    for name, each in sorted(times.items()):
        print(f"{name:45} median {statistics.median(each):.2f} s, {min(each):.2f} to {max(each):.2f}")


if __name__ == "__main__":
    sys.exit(main())
