#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A process inside a host that has a volume open, as QEMU would: `nbd_holder.py SOCKET VOLUME`.

Prints `open`, then obeys lines: `drop` closes the socket without a word and lives on, `end` says DISC and ends.
"""

import sys

import nbd


def main():
    client = nbd.NBD()
    client.connect_uri(f"nbd+unix:///{sys.argv[2]}?socket={sys.argv[1]}")
    print("open", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "drop":
                client = None  # closes the socket
                print("dropped", flush=True)
            case "end":
                client.shutdown()
                return


if __name__ == "__main__":
    main()
