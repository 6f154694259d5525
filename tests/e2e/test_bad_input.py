# SPDX-License-Identifier: Apache-2.0
"""What relays make of wrong input, broken files and full disks: one clear error each, nothing lost, the others unaffected.

All tests share one lab and two relays without agents; each leaves both relays as it found them.
"""

import errno
import os
import random
import re
import shutil
import socket
import subprocess
import uuid
from contextlib import contextmanager

import nbd
import pytest

from lab.nbd_client import BLOCK, MIB, NbdClient, assert_content
from lab.paths import REPOSITORY
from lab.product import COMMAND, CONFIG, PEER_PORT, ControlError
from lab.relays import FROZEN, LINK_TIMEOUT, fill_volume, peer
from lab.vm import NBD_SOCKET
from lab.waiting import wait_for

PKI = "/etc/vmferry/pki"
STATE = "/var/lib/vmferry"


@pytest.fixture(autouse=True)
def calm(relays):
    relays.calm()


def inside(node, path):
    """A host's file, as seen from outside."""
    return node.host.root / str(path).lstrip("/")


def make_volume(node, name, size, seed=1):
    """A volume full of data, closed again; returns its content."""
    image = random.Random(seed).randbytes(size)
    fill_volume(node, name, size, [(0, image)])
    return image


@contextmanager
def unharmed(node):
    """A client that is connected all the time, and a relay that stays the same process."""
    name = f"bystander-{uuid.uuid4()}"
    node.relay.post("/v1/volumes", {"name": name, "size": MIB})
    pid = node.pid("relay")
    with NbdClient(node, name) as client:
        client.write(0, b"still here")
        yield
        assert client.read(0, 10) == b"still here"
        assert node.running("relay") and node.pid("relay") == pid
    wait_for(lambda: node.volume(name)["clients"] == 0, 5, f"nobody has {name} open")
    node.relay.delete(f"/v1/volumes/{name}")


def one_line(text, prefix="vmferry: "):
    """The one message in a command's errors."""
    lines = [line for line in text.splitlines() if line.startswith(prefix)]
    assert len(lines) == 1 and "Exception" not in text and "\tat " not in text, text
    return lines[0]


# ---- NBD clients


def refused_open(node, name, program=("qemu-img", "info")):
    """What a program that wants to open an export says when it may not. Only QEMU's show the server's own words."""
    result = node.host.run([*program, f"nbd+unix:///{name}?socket={NBD_SOCKET}"], check=False)
    assert result.returncode == 1
    return result.stderr


def test_an_unknown_export_is_refused_with_the_reason(relays):
    with unharmed(relays.a):
        assert "No such file or directory for export: nosuch" in refused_open(relays.a, "nosuch", ["nbdinfo"])
        message = refused_open(relays.a, "nosuch")
    assert "volume nosuch is owned by none of hostb" in message
    assert "create the volume" in message


def test_a_name_that_no_volume_can_have_is_refused(relays):
    with unharmed(relays.a):
        assert "no volume '../etc'" in refused_open(relays.a, "..%2Fetc")


GREETING = 18  # bytes that an NBD server sends first


def garbage(length, seed):
    return random.Random(seed).randbytes(length)


@pytest.mark.parametrize("seed", range(3))
def test_garbage_on_the_nbd_socket_ends_that_connection_only(relays, seed):
    with unharmed(relays.a), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(inside(relays.a, NBD_SOCKET)))
        assert client.recv(GREETING, socket.MSG_WAITALL).startswith(b"NBDMAGIC")
        try:
            client.sendall(garbage(1 << 16, seed))
            while client.recv(1 << 16):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass


def test_a_broken_request_after_a_good_handshake_ends_that_connection_only(relays):
    relays.a.relay.post("/v1/volumes", {"name": "abused", "size": MIB})
    with unharmed(relays.a), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(inside(relays.a, NBD_SOCKET)))
        client.recv(GREETING, socket.MSG_WAITALL)
        client.sendall((3).to_bytes(4, "big"))  # fixed newstyle, no zeroes
        client.sendall(b"IHAVEOPT" + (1).to_bytes(4, "big") + len(b"abused").to_bytes(4, "big") + b"abused")
        assert len(client.recv(10, socket.MSG_WAITALL)) == 10  # size and flags
        client.sendall(garbage(28, 1))  # a request has a magic number
        assert client.recv(1) == b""
    with NbdClient(relays.a, "abused") as client:
        assert client.read(0, BLOCK) == bytes(BLOCK)


# ---- peers


def test_garbage_on_the_peer_port_ends_that_connection_only(relays):
    program = (
        "import random, socket, sys\n"
        "for seed in range(5):\n"
        f"  with socket.create_connection(('hostb', {PEER_PORT}), 10) as peer:\n"
        "    try:\n"
        "      peer.sendall(random.Random(seed).randbytes(1 << 16))\n"
        "      while peer.recv(1 << 16): pass\n"
        "    except (BrokenPipeError, ConnectionResetError): pass\n"
    )
    with unharmed(relays.b):
        relays.a.host.run(["/usr/bin/python3", "-c", program])
        assert peer(relays.b)["up"] and peer(relays.a)["up"]


def test_a_peer_without_a_certificate_is_refused(relays):
    program = (
        "import socket, ssl\n"
        f"context = ssl.create_default_context(cafile='{PKI}/ca.crt')\n"
        "context.check_hostname = False\n"
        f"with socket.create_connection(('hostb', {PEER_PORT}), 10) as raw, context.wrap_socket(raw) as peer:\n"
        "  peer.recv(1)\n"
    )
    with unharmed(relays.b):
        result = relays.a.host.run(["/usr/bin/python3", "-c", program], check=False, timeout=20)
        assert "ALERT_CERTIFICATE_REQUIRED" in result.stderr.upper()
        assert peer(relays.b)["up"]


@contextmanager
def certificate_of(node, folder, name):
    """The node's relay shows another certificate."""
    pki = inside(node, PKI)
    kept = pki.with_name("pki.kept")
    subprocess.run(["cp", "-a", pki, kept], check=True)  # the key belongs to the relay's user
    try:
        for kind in ("crt", "key"):
            (pki / f"node.{kind}").write_bytes((folder / f"{name}.{kind}").read_bytes())
        yield
    finally:
        shutil.rmtree(pki)
        kept.rename(pki)
        node.kill("relay")
        node.start("relay")


def test_a_certificate_of_another_authority_is_refused(relays):
    relays.a.cli("pki", "init", "/run/lab/other")
    relays.a.cli("pki", "issue", "/run/lab/other", "hostb")
    with unharmed(relays.a):
        with certificate_of(relays.b, inside(relays.a, "/run/lab/other"), "hostb"):
            relays.b.kill("relay")
            relays.b.start("relay")
            wait_for(lambda: is_about_certificate(peer(relays.a)), LINK_TIMEOUT, "hosta says what is wrong")
            assert not peer(relays.a)["up"] and not peer(relays.b)["up"]
        wait_for(lambda: peer(relays.a)["up"], LINK_TIMEOUT, "the right certificate links")


def test_a_certificate_of_another_node_is_refused(relays):
    relays.a.cli("pki", "issue", "/run/lab/authority", "hostc")
    with unharmed(relays.a):
        with certificate_of(relays.b, inside(relays.a, "/run/lab/authority"), "hostc"):
            relays.b.kill("relay")
            relays.b.begin("relay")
            wait_for(
                lambda: not relays.b.running("relay") or "hostc" in (peer(relays.a)["problem"] or ""),
                LINK_TIMEOUT, "hostb does not start, or hosta says who it is",
            )  # fmt: skip
            assert not peer(relays.a)["up"]


def is_about_certificate(status):
    return status["problem"] and re.search("certificate|trust|authority|signed", status["problem"])


# ---- configuration and start


def run_relay(node, config, text):
    """Runs a relay with another configuration until it ends by itself."""
    inside(node, config).write_text(text)
    return node.host.run([COMMAND, "relay", "--config", config], check=False, timeout=30)


def test_all_problems_of_a_configuration_are_said_at_once(relays):
    sample = REPOSITORY / "config/samples/invalid/all-wrong.yaml"
    expected = re.findall(r"^# expect: (line .*)$", sample.read_text(), re.MULTILINE)
    result = run_relay(relays.a, "/run/lab/wrong.yaml", sample.read_text())
    assert result.returncode == 78  # EX_CONFIG: the unit does not start it again
    assert len(expected) > 10
    assert [line.strip() for line in result.stderr.splitlines() if line.startswith("  ")] == expected
    assert "\tat " not in result.stderr


def test_a_second_relay_on_the_same_host_refuses(relays):
    config = inside(relays.a, CONFIG).read_text()
    with unharmed(relays.a):
        result = run_relay(relays.a, "/run/lab/second.yaml", config)
        assert result.returncode == 1
        assert "already" in one_line(result.stderr) or "in use" in one_line(result.stderr)
        assert peer(relays.a)["up"]


def test_a_second_relay_with_another_port_refuses_too(relays):
    config = inside(relays.a, CONFIG).read_text()
    other = config.replace(f"listen: {relays.a.host.address}:{PEER_PORT}", "listen: 127.0.0.1:7999")
    assert other != config
    with unharmed(relays.a):
        result = run_relay(relays.a, "/run/lab/second.yaml", other)
        assert result.returncode == 1
        assert "another" in one_line(result.stderr) or "already" in one_line(result.stderr)
        assert peer(relays.a)["up"]
        with NbdClient(relays.a, relays.a.relay.get("/v1/status")["volumes"][0]["name"]) as client:
            client.read(0, 512)


def test_a_state_directory_that_is_read_only_stops_the_start(relays):
    for folder in ("state", "run"):
        inside(relays.a, f"/run/lab/ro/{folder}").mkdir(parents=True)
    relays.a.host.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/run/lab/ro/state"])
    config = inside(relays.a, CONFIG).read_text().replace(f":{PEER_PORT}\npeers", ":7998\npeers")
    config = config.replace("\npaths:\n", "\npaths:\n  state: /run/lab/ro/state\n  run: /run/lab/ro/run\n")
    with unharmed(relays.a):
        result = run_relay(relays.a, "/run/lab/ro.yaml", config)
    assert result.returncode == 1
    message = one_line(result.stderr)
    assert "/run/lab/ro/state" in message and re.search("read-only", message, re.IGNORECASE)


# ---- broken files


def truncate(content):
    return content[: len(content) // 2]


def flip_a_bit(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lambda content: b""], ids=["truncated", "flipped", "empty"])
def test_a_broken_state_file_stops_its_volume_only(relays, damage, request):
    kind = request.node.callspec.id
    broken, sound = f"broken-{kind}", f"sound-{kind}"
    images = {name: make_volume(relays.a, name, 256 << 10, seed) for seed, name in enumerate((broken, sound))}
    relays.a.stop("relay")
    folder = inside(relays.a, f"{STATE}/volumes/{broken}")
    state = folder / "volume.state"
    good = state.read_bytes()
    state.write_bytes(damage(good))
    relays.a.start("relay")

    assert "volume.state" in relays.a.volume(broken)["failure"]
    assert "volume.state" in refused_open(relays.a, broken)
    with pytest.raises(ControlError, match="volume.state"):
        relays.a.relay.delete(f"/v1/volumes/{broken}")
    assert relays.a.volume(sound)["failure"] is None
    with NbdClient(relays.a, sound) as client:
        assert_content(client, images[sound])
    assert (folder / "data").read_bytes() == images[broken]
    assert state.read_bytes() == damage(good)

    relays.a.stop("relay")
    state.write_bytes(good)
    relays.a.start("relay")
    with NbdClient(relays.a, broken) as client:
        assert_content(client, images[broken])


# ---- a full disk


@contextmanager
def small_disk(relays, size):
    """hostb's volumes are on a small disk of their own."""
    relays.b.stop("relay")
    relays.b.host.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", STATE])
    relays.b.start("relay")
    wait_for(lambda: peer(relays.b)["up"] and peer(relays.a)["up"], LINK_TIMEOUT, "linked")
    try:
        yield inside(relays.b, STATE)
    finally:
        relays.b.kill("relay")
        relays.b.host.run(["umount", STATE])


def attach(relays, name):
    domain = str(uuid.uuid4())
    relays.b.relay.post("/v1/standbys", {"domain": domain, "volumes": [name], "owner": "hosta"})
    return domain


def test_a_disk_without_room_refuses_the_standby(relays):
    make_volume(relays.a, "too-big", 8 * MIB)
    with small_disk(relays, 4 * MIB):
        with pytest.raises(ControlError, match="MiB free for volumes and 8 MiB are needed") as refusal:
            attach(relays, "too-big")
        assert refusal.value.code == "NO_SPACE"
        assert relays.b.volume("too-big") is None
    assert relays.a.volume("too-big")["state"] == "SERVING"


def test_a_disk_that_is_full_holds_the_copy_until_there_is_room(relays):
    image = bytearray(make_volume(relays.a, "squeezed", 8 * MIB))
    with small_disk(relays, 24 * MIB) as disk:
        domain = attach(relays, "squeezed")
        relays.b.relay.put("/v1/rate", {"bytesPerSecond": FROZEN})
        relays.b.relay.post(f"/v1/takeovers/{domain}", None)
        with unharmed(relays.b), NbdClient(relays.b, "squeezed") as client:
            fill(disk / "ballast", leave=1 * MIB)
            relays.b.relay.put("/v1/rate", {"bytesPerSecond": None})
            wait_for(lambda: "space" in (relays.b.volume("squeezed")["waitingFor"] or ""), 10, "status says it is full")
            status = relays.b.volume("squeezed")
            assert (status["state"], status["failure"]) == ("FETCHING", None)
            # Reads don't wait for space: what is missing comes from the origin, as often as it is read.
            for _ in range(2):
                assert client.read(6 * MIB + 512, 256 * 1024) == image[6 * MIB + 512 :][: 256 * 1024]
            assert relays.b.volume("squeezed")["present"] < 7 * MIB
            for offset, data in [(6 * MIB + 512, b"a part of a missing block"), (7 * MIB, bytes(range(256)) * 4096)]:
                with pytest.raises(nbd.Error) as full:
                    client.write(offset, data)
                assert full.value.errnum == errno.ENOSPC
            (disk / "ballast").unlink()
            client.write(7 * MIB, b"goes on")
            image[7 * MIB : 7 * MIB + 7] = b"goes on"
            wait_for(lambda: relays.b.volume("squeezed")["state"] == "SERVING", 20, "the copy is complete")
            assert relays.b.volume("squeezed")["waitingFor"] is None
            written = image[7 * MIB : 8 * MIB]
            found = client.read(7 * MIB, MIB)
            # The failed write may have left some of its bytes, in whole blocks; all else is as it was.
            failed = bytes(range(256)) * 4096
            for at in range(0, MIB, BLOCK):
                if found[at : at + BLOCK] != written[at : at + BLOCK]:
                    assert found[at + 7 : at + BLOCK] == failed[at + 7 : at + BLOCK], at
            image[7 * MIB : 8 * MIB] = found
            assert_content(client, image)


def fill(path, leave):
    with open(path, "wb") as ballast:
        stat = os.statvfs(path.parent)
        os.posix_fallocate(ballast.fileno(), 0, stat.f_bavail * stat.f_frsize - leave)


# ---- control API


def test_an_unknown_key_is_refused_by_its_name(relays):
    with pytest.raises(ControlError) as refusal:
        relays.a.relay.post("/v1/volumes", {"name": "keys", "size": MIB, "colour": "red"})
    assert (refusal.value.status, refusal.value.code) == (400, "BAD_REQUEST")
    assert "colour" in refusal.value.message
    assert relays.a.volume("keys") is None


@pytest.mark.parametrize(
    "body, reason",
    [
        ({"name": "../x", "size": MIB}, "../x"),
        ({"name": "x", "size": 0}, "size"),
        ({"name": "x", "size": -1}, "size"),
        ({"name": "x", "size": "big"}, '"big"'),
        ({"name": "x", "size": 1 << 60}, "size"),
        ({"size": MIB}, "name"),
    ],
)
def test_a_volume_that_can_not_be_is_refused_with_the_reason(relays, body, reason):
    before = relays.a.relay.get("/v1/status")["volumes"]
    with pytest.raises(ControlError, match=re.escape(reason)) as refusal:
        relays.a.relay.post("/v1/volumes", body)
    assert (refusal.value.status, refusal.value.code) == (400, "BAD_REQUEST")
    assert relays.a.relay.get("/v1/status")["volumes"] == before


def test_a_volume_in_use_can_not_be_deleted(relays):
    make_volume(relays.a, "used", MIB)
    with NbdClient(relays.a, "used") as client:
        with pytest.raises(ControlError, match="used is open.*shut that down") as refusal:
            relays.a.relay.delete("/v1/volumes/used")
        assert refusal.value.code == "IN_USE"
        client.read(0, 512)
    wait_for(lambda: relays.a.volume("used")["clients"] == 0, 5, "nobody has it open")
    relays.a.relay.delete("/v1/volumes/used")
    assert relays.a.volume("used") is None
    assert not inside(relays.a, f"{STATE}/volumes/used").exists()


def test_a_volume_that_is_still_copied_from_can_not_be_deleted(relays):
    image = make_volume(relays.a, "needed", 4 * MIB)
    domain = attach(relays, "needed")
    relays.b.relay.put("/v1/rate", {"bytesPerSecond": FROZEN})
    relays.b.relay.post(f"/v1/takeovers/{domain}", None)
    with pytest.raises(ControlError, match="hostb still copies volume needed") as refusal:
        relays.a.relay.delete("/v1/volumes/needed")
    assert refusal.value.code == "REFUSED"
    relays.b.relay.put("/v1/rate", {"bytesPerSecond": None})
    wait_for(lambda: relays.a.volume("needed")["completeAt"] == "hostb", 20, "hosta knows that hostb is complete")
    relays.a.relay.delete("/v1/volumes/needed")
    with NbdClient(relays.b, "needed") as client:
        assert_content(client, image)


def test_sigterm_during_all_this_still_ends_the_relay_in_order(relays):
    relays.a.stop("relay")  # raises if SIGTERM is ignored
    assert not inside(relays.a, NBD_SOCKET).exists()
