# SPDX-License-Identifier: Apache-2.0
"""A volume whose content comes from a plain NBD server: served at once, fetched, and then on its own."""

import random
import time

import nbd
import pytest

from lab.local_relay import Authority, LocalRelay
from lab.nbd_server import NbdServer, certificates
from lab.waiting import wait_for

MIB = 1 << 20
BLOCK = 4096

PORT = 7830  # of the relay, to which no peer ever connects
SERVER_PORT = 7831

SIZE = 24 * MIB + 1536  # an odd end
COMPLETE_TIMEOUT = 60  # seconds, for 24 MiB on this machine
SLOW = 2 * MIB  # bytes per second: a copy that can be watched


@pytest.fixture(scope="module")
def running_relay(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    with LocalRelay("local", folder / "relay", Authority(folder / "authority"), PORT) as running:
        yield running


@pytest.fixture
def relay(running_relay):
    """With no volume, whatever the test before it has left."""
    running_relay.clear()
    return running_relay


@pytest.fixture
def image(tmp_path):
    """Data, then a hole, then data again up to the odd end."""
    content = bytearray(random.Random(7).randbytes(SIZE))
    content[8 * MIB : 16 * MIB] = bytes(8 * MIB)
    file = tmp_path / "image"
    with open(file, "wb") as out:
        out.write(content[: 8 * MIB])
        out.seek(16 * MIB)
        out.write(content[16 * MIB :])
    return file, content


def slow(relay, rate=SLOW):
    relay.control.put("/v1/rate", {"bytesPerSecond": rate})


def quick(relay):
    relay.control.put("/v1/rate", {"bytesPerSecond": None})


def connect(relay):
    client = nbd.NBD()
    client.connect_uri(relay.uri("disk"))
    return client


def assert_content(relay, content):
    client = connect(relay)
    assert client.get_size() == len(content)
    for offset in range(0, len(content), MIB):
        expected = bytes(content[offset : offset + MIB])
        assert client.pread(len(expected), offset) == expected, f"the MiB at {offset} is wrong"
    client.shutdown()


def await_complete(relay):
    wait_for(lambda: relay.state("disk") == "SERVING", COMPLETE_TIMEOUT, "the volume is complete")


def waits_for(relay):
    return relay.volume("disk")["waitingFor"] or ""


def refusal(relay, uri, **more):
    with pytest.raises(Exception) as refused:
        relay.fetch_volume("disk", uri, **more)
    return str(refused.value)


def nbdkit_on_a_port(folder, image):
    return NbdServer.nbdkit(folder, image, port=SERVER_PORT)


@pytest.mark.parametrize("server", [NbdServer.nbdkit, nbdkit_on_a_port, NbdServer.qemu_nbd])
def test_r1_r14_served_at_once_then_complete_then_on_its_own(relay, image, tmp_path, server):
    file, content = image
    with server(tmp_path, file) as source:
        slow(relay)
        relay.fetch_volume("disk", source.uri)
        size = len(content)
        client = connect(relay)
        # qemu-nbd shows files in sectors; 1536 is a whole number of them.
        assert client.get_size() == size
        assert client.pread(BLOCK, 20 * MIB) == content[20 * MIB : 20 * MIB + BLOCK]
        volume = relay.volume("disk")
        assert volume["state"] == "FETCHING"
        assert volume["fetch"]["origin"] == source.uri and volume["fetch"]["linkUp"]
        client.shutdown()
        quick(relay)
        await_complete(relay)
        source.stop()
        assert_content(relay, content)
    volume = relay.volume("disk")
    assert volume["fetch"] is None and volume["waitingFor"] is None
    assert volume["allocated"] <= 17 * MIB, "the hole of the source takes no space here either"


def test_what_a_guest_writes_meanwhile_stays(relay, image, tmp_path):
    file, content = image
    before = bytes(content)
    with NbdServer.nbdkit(tmp_path, file) as source:
        slow(relay)
        relay.fetch_volume("disk", source.uri)
        client = connect(relay)
        draw = random.Random(3)
        for _ in range(300):
            offset, length = draw.randrange(SIZE - 9000), draw.randrange(1, 9000)
            data = draw.randbytes(length)
            client.pwrite(data, offset)
            content[offset : offset + length] = data
        client.flush()
        client.zero(2 * MIB, MIB)
        content[MIB : 3 * MIB] = bytes(2 * MIB)
        client.shutdown()
        quick(relay)
        await_complete(relay)
        assert_content(relay, content)
    assert file.read_bytes() == before, "nothing is written to the source"


def test_a_killed_relay_goes_on_where_it_was(relay, image, tmp_path):
    file, content = image
    with NbdServer.nbdkit(tmp_path, file) as source:
        slow(relay, 4 * MIB)
        relay.fetch_volume("disk", source.uri)
        client = connect(relay)
        client.pwrite(b"x" * BLOCK, 0)
        content[:BLOCK] = b"x" * BLOCK
        wait_for(lambda: relay.volume("disk")["present"] > 12 * MIB, COMPLETE_TIMEOUT, "half is here")
        present = relay.volume("disk")["present"]
        relay.kill()
        source.stop()
        relay.start()
        assert relay.state("disk") == "FETCHING"
        assert relay.volume("disk")["present"] >= present
        source.start()
        await_complete(relay)
        assert_content(relay, content)


def test_r3_a_lost_server_makes_reads_wait_and_nothing_else(relay, image, tmp_path):
    file, content = image
    with NbdServer.nbdkit(tmp_path, file) as source:
        slow(relay)
        relay.fetch_volume("disk", source.uri)
        client = connect(relay)
        assert client.pread(BLOCK, 0) == content[:BLOCK]
        source.stop()
        wait_for(lambda: "it reconnects by itself" in waits_for(relay), 10, "the loss is noticed")
        assert not relay.volume("disk")["fetch"]["linkUp"]
        buffer = nbd.Buffer(BLOCK)
        cookie = client.aio_pread(buffer, 23 * MIB)
        assert client.pread(BLOCK, 0) == content[:BLOCK], "what is here is served"
        client.pwrite(b"y" * BLOCK, BLOCK)
        assert not client.aio_command_completed(cookie)
        source.start()
        deadline = time.monotonic() + 20
        while not client.aio_command_completed(cookie):
            assert time.monotonic() < deadline, "the read goes on when the server is back"
            client.poll(100)
        assert bytes(buffer.to_bytearray()) == content[23 * MIB : 23 * MIB + BLOCK]
        client.shutdown()


def test_r4_a_server_with_another_size_is_not_asked_any_more(relay, image, tmp_path):
    file, content = image
    with NbdServer.nbdkit(tmp_path, file) as source:
        slow(relay)
        relay.fetch_volume("disk", source.uri)
        source.stop()
        with open(file, "r+b") as shorter:
            shorter.truncate(20 * MIB)
        source.start()
        wait_for(lambda: "another disk" in waits_for(relay), 20, "the size is looked at")
        assert f"has {20 * MIB} bytes now" in waits_for(relay)
        assert relay.state("disk") == "FETCHING"


def test_cve20220485_errors_of_the_server_are_never_zeroes(relay, image, tmp_path):
    file, content = image
    broken = tmp_path / "broken"
    broken.touch()
    failing = ["error-pread=EIO", "error-pread-rate=30%", f"error-file={broken}"]
    with NbdServer.nbdkit(tmp_path, file, *failing, filters=["error"]) as source:
        relay.fetch_volume("disk", source.uri)
        wait_for(lambda: "EIO" in waits_for(relay), 20, "the status says what the server said")
        broken.unlink()
        await_complete(relay)
        assert_content(relay, content)


def test_r12_a_servers_limits_are_obeyed(relay, image, tmp_path):
    file, content = image
    limits = ["blocksize-minimum=512", "blocksize-preferred=4096", "blocksize-maximum=65536", "blocksize-error-policy=error"]
    with NbdServer.nbdkit(tmp_path, file, *limits, filters=["blocksize-policy"]) as source:
        relay.fetch_volume("disk", source.uri)
        client = connect(relay)
        assert client.pread(1000, SIZE - 1000) == content[SIZE - 1000 :]
        client.shutdown()
        await_complete(relay)
        assert_content(relay, content)


def test_tls_is_what_was_asked_for_or_nothing(relay, image, tmp_path):
    file, content = image
    ca = certificates(tmp_path / "pki")
    other = certificates(tmp_path / "other")
    tls = ["--tls=require", f"--tls-certificates={tmp_path / 'pki'}"]
    with NbdServer.nbdkit(tmp_path, file, options=tls, port=SERVER_PORT, scheme="nbds") as source:
        assert "nbds://" in refusal(relay, source.uri.replace("nbds", "nbd"))
        assert "TLS" in refusal(relay, source.uri, tls_ca=str(other))
        assert "TLS" in refusal(relay, source.uri.replace("localhost", "127.0.0.1"), tls_ca=str(ca))
        assert "doesn't exist" in refusal(relay, source.uri, tls_ca=str(tmp_path / "nothing"))
        relay.fetch_volume("disk", source.uri, tls_ca=str(ca))
        await_complete(relay)
        assert_content(relay, content)


def test_cve201914842_a_server_without_tls_is_refused(relay, image, tmp_path):
    file, _ = image
    ca = certificates(tmp_path / "pki")
    with NbdServer.nbdkit(tmp_path, file, port=SERVER_PORT, scheme="nbds") as source:
        assert "refuses TLS" in refusal(relay, source.uri, tls_ca=str(ca))


def test_what_can_not_be_is_refused_with_the_reason(relay, tmp_path, image):
    file, _ = image
    assert "must begin with" in refusal(relay, "http://server/disk")
    assert "can't be resolved" in refusal(relay, "nbd://no.such.host.invalid/disk")
    assert "refused" in refusal(relay, f"nbd://localhost:{SERVER_PORT}/disk").lower()
    assert "nbds://" in refusal(relay, "nbd://localhost/disk", tls_ca="/etc/hostname")
    with NbdServer.qemu_nbd(tmp_path, file, export="other") as source:
        assert "it has no export 'disk'" in refusal(relay, source.uri.replace("other", "disk"))
    assert not relay.control.get("/v1/status")["volumes"], "nothing is left behind"
