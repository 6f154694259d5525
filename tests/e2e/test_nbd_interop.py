# SPDX-License-Identifier: Apache-2.0
"""A relay and the NBD clients that people use, as Debian has them; one of them sends what it must not."""

import errno
import hashlib
import json
import random
import subprocess
import time

import nbd
import pytest

from lab import packages
from lab.local_relay import Authority, LocalRelay
from lab.waiting import wait_for

MIB = 1 << 20
BLOCK = 4096

PORT = 7832  # of the relay, to which no peer ever connects
SIZE = 64 * MIB
TIMEOUT = 60  # seconds for one command on a busy machine; most take less than one

# nbdsh by Debian's Python: the command takes the first one in PATH, which may lack the module.
NBDSH = ["/usr/bin/python3", "-m", "nbd"]

ALLOCATED, ZERO_HOLE = 0, 3  # states in base:allocation


@pytest.fixture(scope="module")
def running_relay(tmp_path_factory):
    packages.install_missing()
    folder = tmp_path_factory.mktemp("interop")
    with LocalRelay("local", folder / "relay", Authority(folder / "authority"), PORT) as running:
        yield running


@pytest.fixture
def relay(running_relay):
    """With an empty volume."""
    running_relay.create_volume("disk", SIZE)
    yield running_relay
    running_relay.delete_volume("disk")


@pytest.fixture
def uri(relay):
    return relay.uri("disk")


def run(*command):
    """Runs a client to its end; it must succeed. Gives what it printed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def connect(uri, strict=True, structured=True):
    client = nbd.NBD()
    client.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    client.set_request_structured_replies(structured)
    if not strict:
        client.set_strict_mode(0)
    client.connect_uri(uri)
    return client


def image(path, size=SIZE, seed=1):
    """A raw image: data, a hole, and data at its end."""
    draw = random.Random(seed)
    with open(path, "wb") as file:
        file.write(draw.randbytes(5 * MIB))
        file.seek(size - MIB)
        file.write(draw.randbytes(MIB))
    return path


# ---- nbdinfo, nbdcopy


def test_nbdinfo_tells_what_the_matrix_tells(uri):
    export = json.loads(run("nbdinfo", "--json", uri))["exports"][0]
    assert export["export-size"] == SIZE
    offered = ["can_multi_conn", "can_flush", "can_fua", "can_trim", "can_zero", "can_fast_zero", "can_cache", "can_df"]
    assert [name for name in offered if not export[name]] == []
    assert not export["is_read_only"] and not export["is_rotational"]
    sizes = [export[f"block_size_{name}"] for name in ("minimum", "preferred", "maximum")]
    assert sizes == [1, BLOCK, 32 * MIB]


def test_nbdinfo_lists_and_maps(relay, uri):
    listed = json.loads(run("nbdinfo", "--list", "--json", f"nbd+unix://?socket={relay.socket}"))
    assert [export["export-name"] for export in listed["exports"]] == ["disk"]
    client = connect(uri)
    client.pwrite(b"x" * MIB, 8 * MIB)
    client.shutdown()
    mapped = [(each["offset"], each["length"], each["type"]) for each in json.loads(run("nbdinfo", "--map", "--json", uri))]
    assert mapped == [
        (0, 8 * MIB, ZERO_HOLE),
        (8 * MIB, MIB, ALLOCATED),
        (9 * MIB, SIZE - 9 * MIB, ZERO_HOLE),
    ]


def test_nbdcopy_both_ways(relay, uri, tmp_path):
    source = image(tmp_path / "source")
    run("nbdcopy", "--destination-is-zero", source, uri)
    run("nbdcopy", uri, tmp_path / "back")
    run("cmp", source, tmp_path / "back")
    assert relay.volume("disk")["allocated"] < 8 * MIB, "holes stay holes"


# ---- qemu-img, qemu-io


def test_qemu_img_converts_compares_and_maps(relay, uri, tmp_path):
    source = image(tmp_path / "source")
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", "--target-is-zero", "-W", source, uri)
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, uri)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, tmp_path / "back.qcow2")
    run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", uri, tmp_path / "back.qcow2")
    mapped = json.loads(run("qemu-img", "map", "--output=json", "-f", "raw", uri))
    data = [(each["start"], each["start"] + each["length"]) for each in mapped if each["data"]]
    assert data == [(0, 5 * MIB), (SIZE - MIB, SIZE)]
    assert relay.volume("disk")["allocated"] < 8 * MIB


def test_qemu_img_sees_a_difference(uri, tmp_path):
    source = image(tmp_path / "source")
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, uri)
    client = connect(uri)
    byte = client.pread(1, 3 * MIB + 77)[0]
    client.pwrite(bytes([byte ^ 1]), 3 * MIB + 77)
    client.shutdown()
    compared = subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", str(source), uri], timeout=TIMEOUT)
    assert compared.returncode == 1


@pytest.mark.parametrize("how", [[], ["-w"], ["-w", "--flush-interval=64"]])
def test_qemu_img_bench(uri, how):
    assert "Run completed" in run("qemu-img", "bench", "-f", "raw", "-c", 4000, "-d", 32, "-s", BLOCK, *how, uri)


def test_qemu_io_reads_back_what_it_writes(uri):
    commands = [
        "write -P 0xa5 1000 70000",
        "write -f -P 0x5a 512 512",
        "read -P 0xa5 1024 69976",
        "read -P 0x5a 512 512",
        "write -z -u 8192 4096",
        "read -P 0 8192 4096",
        "write -z 16384 100",
        "read -P 0 16384 100",
        "read -P 0xa5 16484 1000",
        "discard 1M 4M",
        "write -P 7 40M 20M",
        "read -P 7 40M 20M",
        "flush",
    ]
    run("qemu-io", "-f", "raw", *[word for command in commands for word in ("-c", command)], uri)


# ---- fio


@pytest.mark.parametrize("sizes", ["4k-4k", "512-256k"])
def test_fio_verifies_what_it_writes(uri, tmp_path, sizes):
    run("fio", "--name=verify", "--ioengine=nbd", f"--uri={uri}", "--thread", "--size=48m", "--rw=randwrite",
        f"--bsrange={sizes}", "--iodepth=32", "--verify=crc32c", "--verify_fatal=1", "--fsync=500",
        f"--output={tmp_path / 'fio.log'}", "--verify_state_save=0")  # fmt: skip


# ---- what no client should send


def error_of(action):
    """The errno that the server answered."""
    with pytest.raises(nbd.Error) as refused:
        action()
    return refused.value.errnum


@pytest.mark.parametrize("structured", [True, False])
def test_x03_x04_x05_x06_x08_x11_x14_x15_illegal_requests_are_refused_and_the_connection_lives(uri, structured):
    client = connect(uri, strict=False, structured=structured)
    data = b"z" * BLOCK
    illegal = [
        (lambda: client.pread(BLOCK, SIZE), errno.EINVAL),
        (lambda: client.pread(BLOCK, SIZE - 1), errno.EINVAL),
        (lambda: client.pread(BLOCK, (1 << 63) - 1), errno.EINVAL),
        (lambda: client.pwrite(data, SIZE - 1), errno.ENOSPC),
        (lambda: client.zero(BLOCK, SIZE - 1), errno.ENOSPC),
        (lambda: client.trim(BLOCK, SIZE - 1), errno.EINVAL),
        (lambda: client.cache(BLOCK, SIZE - 1), errno.EINVAL),
        (lambda: client.pread(33 * MIB, 0), errno.EINVAL),
        (lambda: client.trim(0, 0), errno.EINVAL),
        (lambda: client.pread(BLOCK, 0, flags=nbd.CMD_FLAG_REQ_ONE), errno.EINVAL),
        (lambda: client.pwrite(data, 0, flags=nbd.CMD_FLAG_NO_HOLE), errno.EINVAL),
        (lambda: client.pwrite(data, 0, flags=nbd.CMD_FLAG_DF), errno.EINVAL),
        (lambda: client.flush(flags=nbd.CMD_FLAG_FAST_ZERO), errno.EINVAL),
    ]
    if not structured:
        illegal.append((lambda: client.pread(BLOCK, 0, flags=nbd.CMD_FLAG_DF), errno.EINVAL))
    for number, (request, expected) in enumerate(illegal):
        assert error_of(request) == expected, f"request {number}"
        assert client.pread(BLOCK, 0) == bytes(BLOCK), f"after request {number}"
    client.shutdown()


def test_x10_x35_several_connections_show_one_content(uri):
    assert connect(uri).can_multi_conn()
    clients = [connect(uri) for _ in range(8)]
    draw = random.Random(5)
    content = bytearray(4 * MIB)
    for _ in range(400):
        writer, reader = draw.choice(clients), draw.choice(clients)
        offset, length = draw.randrange(4 * MIB - 20_000), draw.randrange(1, 20_000)
        data = draw.randbytes(length)
        writer.pwrite(data, offset)
        content[offset : offset + length] = data
        assert reader.pread(length, offset) == data
    clients[0].flush()
    assert clients[1].pread(4 * MIB, 0) == content
    for client in clients:
        client.shutdown()


def test_x30_clients_that_vanish_harm_nobody(relay, uri):
    witness = connect(uri)
    for _ in range(10):
        client = subprocess.Popen(
            [*NBDSH, "-u", uri, "-c", "while True: h.pwrite(bytearray(1 << 20), 32 << 20); h.pread(1 << 20, 0)"],
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: relay.volume("disk")["clients"] > 1, TIMEOUT, "the client is connected")
        client.kill()
        client.wait()
        witness.pwrite(b"w" * BLOCK, 0)
        assert witness.pread(BLOCK, 0) == b"w" * BLOCK
    witness.shutdown()
    relay.await_closed("disk")


# ---- a file system


class FileSystem:
    """An ext4 on the volume: a file by nbdfuse, on a loop device."""

    def __init__(self, folder, uri):
        self._file, self._uri = folder / "file", uri
        self.mounted = folder / "mounted"
        self._file.touch()
        self.mounted.mkdir()
        self._fuse = self._loop = None

    def attach(self):
        wait_for(lambda: self._file.stat().st_size == 0, TIMEOUT, "no disk is shown")
        self._fuse = subprocess.Popen(["nbdfuse", str(self._file), self._uri], stderr=subprocess.DEVNULL)
        wait_for(lambda: self._file.stat().st_size == SIZE, TIMEOUT, "nbdfuse shows the disk")
        self._loop = run("losetup", "--find", "--show", self._file).strip()

    def mount(self):
        run("mount", self._loop, self.mounted)

    def check(self):
        """Nothing is changed; an error is a failure."""
        return run("fsck.ext4", "-fn", self._loop)

    def make(self):
        run("mkfs.ext4", "-q", "-F", self._loop)

    def detach(self):
        for command in (["umount", self.mounted], ["losetup", "--detach", self._loop], ["fusermount3", "-uz", self._file]):
            subprocess.run(list(map(str, command)), capture_output=True, timeout=TIMEOUT)
        if self._fuse:
            self._fuse.kill()
            self._fuse.wait()
            self._fuse = None


def test_a_file_system_survives_a_killed_relay(relay, uri, tmp_path):
    disk = FileSystem(tmp_path, uri)
    disk.attach()
    try:
        disk.make()
        disk.mount()
        sums = {}
        draw = random.Random(11)
        for number in range(60):
            data = draw.randbytes(draw.randrange(1, 300_000))
            file = disk.mounted / f"file-{number}"
            file.write_bytes(data)
            sums[file.name] = hashlib.sha256(data).hexdigest()
        run("sync", "-f", disk.mounted)
        (disk.mounted / "not-synced").write_bytes(draw.randbytes(5 * MIB))
        time.sleep(0.2)  # some of it is on its way
        relay.kill()
        disk.detach()
        relay.start()

        disk.attach()
        disk.mount()  # replays the journal
        found = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in disk.mounted.glob("file-*")
        }
        assert found == sums
        run("umount", disk.mounted)
        disk.check()
    finally:
        disk.detach()
