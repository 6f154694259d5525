# SPDX-License-Identifier: Apache-2.0
"""The lab itself, proven with a pass-through NBD server: what the other tests believe must be true here first."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import stamp, timeline
from lab.lab import HOSTS, Lab, LabError, clear
from lab.paths import RUNNING
from lab.traces import Traces
from lab.traffic import tcp_throughput
from lab.verify import verify_image
from lab.vm import Vm
from lab.waiting import wait_for

pytestmark = pytest.mark.alone

MIB = 1 << 20
BLOCK = 4096
ODD_SIZE = 16 * MIB + 3 * 512  # no multiple of a block

TESTS = Path(__file__).resolve().parent.parent


# ---- the WAN ----


def round_trips(source, destination, count=20, interval=0.02):
    """Round-trip times in ms of the pings that came back."""
    result = source.run(["ping", "-c", count, "-i", interval, "-W", "1", destination.name], check=False)
    return sorted(float(time) for time in re.findall(r"time=([\d.]+) ms", result.stdout))


def median(values):
    return values[len(values) // 2]


def test_delay_is_accurate_to_a_millisecond_each_way(lab):
    assert median(round_trips(lab.a, lab.b)) == pytest.approx(20, abs=1)
    lab.wan.set("ab", delay_ms=45)
    assert median(round_trips(lab.a, lab.b)) == pytest.approx(55, abs=1)


def test_tcp_gets_the_rate_and_not_more(lab):
    for rate in (50, 400):
        lab.wan.set(rate_mbit=rate, delay_ms=2)
        got = tcp_throughput(lab.a, lab.b, 1.5) / 1e6
        assert 0.8 * rate < got < 1.01 * rate


def test_a_busy_link_costs_little_cpu(lab):
    before = cpu_seconds(lab.wan.pid)
    tcp_throughput(lab.a, lab.b, 2)
    assert cpu_seconds(lab.wan.pid) - before < 1.2  # 60 per cent of a core at 400 Mbit/s; a slow machine needs 45


def test_a_full_queue_delays_and_then_drops(lab):
    lab.wan.set(delay_ms=1, rate_mbit=20, queue_kib=64)
    burst = lab.a.run(["ping", "-l", "30", "-c", "30", "-s", "8000", "-W", "1", lab.b.name], check=False).stdout
    times = [float(time) for time in re.findall(r"time=([\d.]+) ms", burst)]
    assert 10 < max(times) < 70  # the queue holds 26 ms of the link's rate; so does the way back
    assert lab.wan.show()["ab"].dropped_queue > 10  # room for 8 of the first 30


def test_loss_is_random_and_as_often_as_set(lab):
    lab.wan.set("ab", loss_percent=20, delay_ms=1)
    came_back = len(round_trips(lab.a, lab.b, count=300, interval=0.002))
    assert 220 < came_back < 260  # 240 expected; the seed is fixed, so this is no gamble
    assert lab.wan.show()["ba"].dropped_loss == 0


def test_cut_stops_one_direction_or_both_until_healed(lab):
    lab.wan.cut("ba")
    assert round_trips(lab.a, lab.b, count=2) == []
    there = lab.wan.show()
    assert there["ab"].dropped_cut == 0 and there["ba"].dropped_cut >= 2  # the requests arrive, the answers don't
    lab.wan.heal()
    assert len(round_trips(lab.a, lab.b, count=2)) == 2
    lab.wan.cut()
    assert round_trips(lab.a, lab.b, count=2) == []
    assert lab.wan.show()["ab"].dropped_cut >= 2


def test_a_bad_setting_is_refused_and_changes_nothing(lab):
    before = lab.wan.show()["ab"].delay_us
    with pytest.raises(ValueError, match="not a number"):
        lab.wan._set(None, {"delay_us": 5, "loss_ppm": "much"})
    assert lab.wan.show()["ab"].delay_us == before


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- the guest and its verification ----


def test_a_loaded_vm_migrates_there_and_back_without_a_mismatch(lab, passthrough):
    passthrough.create_volume("root", 64 * MIB)
    passthrough.create_volume("data", ODD_SIZE)
    vm = Vm(lab, ["root", "data"])
    vm.start(lab.a)
    for source, destination in ((lab.a, lab.b), (lab.b, lab.a)):
        heartbeat = vm.migrate(source, destination)
        print(f"downtime {source.name} to {destination.name}: {heartbeat.downtime * 1000:.0f} ms")
        assert 0 < heartbeat.downtime < 3
        assert vm.host() is destination
        [stat] = vm.await_stat(destination)
        assert int(stat["writes"]) > 0 and int(stat["reads"]) > 0
    sums = vm.sum(lab.a)
    vm.assert_consistent(lab.a)
    for volume in ("root", "data"):
        verdict = passthrough.verify(volume)
        assert verdict.broken == 0
        assert verdict.written > 0
        assert verdict.digest == sums[volume]


def test_downtime_is_what_the_heart_does_not_beat(lab, passthrough):
    passthrough.create_volume("root", MIB)
    vm = Vm(lab, ["root"], rate="idle")
    vm.start(lab.a)
    with vm.heartbeat(lab.a) as heartbeat:
        lab.a.virsh("suspend", vm.name)
        beats = len(heartbeat.beats["hosta"])
        lab.a.run(["sleep", "0.5"])  # the length of the pause, not a wait for something
        lab.a.virsh("resume", vm.name)
        wait_for(lambda: len(heartbeat.beats["hosta"]) > beats + 10, 5, "the heart beats again")
    assert 0.5 <= heartbeat.longest_silence < 0.8


def test_the_rate_is_kept_and_idle_is_silent(lab, passthrough):
    passthrough.create_volume("root", MIB)
    vm = Vm(lab, ["root"], rate=200)
    vm.start(lab.a)
    _, stat = vm.await_stat(lab.a, 2)
    assert 150 <= int(stat["writes"]) + int(stat["reads"]) <= 250
    vm.command(lab.a, "rate idle")
    _, stat = vm.await_stat(lab.a, 2)
    assert int(stat["writes"]) + int(stat["reads"]) == 0


def test_guest_and_verifier_see_a_corrupted_byte(lab, passthrough):
    passthrough.create_volume("root", MIB, fill=1000)
    vm = Vm(lab, ["root"], fill=1000, reads=100)
    vm.start(lab.a)
    sums = vm.sum(lab.a)
    assert passthrough.verify("root").digest == sums["root"]
    with open(passthrough.image("root"), "r+b") as image:
        image.seek(77 * 512 + 500)
        byte = image.read(1)
        image.seek(77 * 512 + 500)
        image.write(bytes([byte[0] ^ 1]))
    verdict = passthrough.verify("root")
    assert (verdict.broken, verdict.first_broken) == (1, 77)
    assert verdict.digest != sums["root"]
    vm.command(lab.a, "go")
    wait_for(lambda: vm.lines(lab.a, "mismatch"), 10, "the guest reads the corrupted block")
    assert vm.lines(lab.a, "mismatch")[0] == {"volume": "root", "sector": "77", "expected": "0", "found": "broken"}


def test_guest_and_verifier_see_lost_writes(lab, passthrough):
    passthrough.create_volume("root", MIB, fill=1000)
    vm = Vm(lab, ["root"], fill=1000, zeroes=0)
    vm.start(lab.a)
    vm.await_stat(lab.a)
    vm.sum(lab.a)
    image = passthrough.image("root")
    old = image.read_bytes()
    vm.command(lab.a, "go")
    vm.await_stat(lab.a)
    sums = vm.sum(lab.a)
    assert verify_image(image, "root").digest == sums["root"]
    with open(image, "r+b") as file:
        file.write(old[: 64 * BLOCK])
    verdict = verify_image(image, "root")
    assert verdict.broken == 0  # each block is a valid one, of the past
    assert verdict.digest != sums["root"]
    vm.command(lab.a, "go")
    wait_for(lambda: vm.lines(lab.a, "mismatch"), 10, "the guest reads an old block")
    with pytest.raises(AssertionError, match="mismatches"):
        vm.await_stat(lab.a)
        vm.assert_consistent(lab.a)


def test_a_restarted_vm_learns_what_is_on_its_disk(lab, passthrough):
    passthrough.create_volume("root", 8 * MIB)
    vm = Vm(lab, ["root"])
    vm.start(lab.a)
    sums = vm.sum(lab.a)
    vm.command(lab.a, "off")
    wait_for(lambda: vm.state(lab.a) is None, 10, "the VM is off")
    again = Vm(lab, ["root"], rate="idle", learn=1)
    again.start(lab.b)
    assert again.sum(lab.b) == sums


@pytest.mark.parametrize("fill", [0, 500, 1000])
def test_prefill_stamps_what_was_asked_for(tmp_path, fill):
    stamp.prefill(tmp_path / "image", "root", ODD_SIZE, fill)
    verdict = verify_image(tmp_path / "image", "root")
    assert verdict.broken == 0
    assert 1000 * (verdict.sectors - verdict.holes) / verdict.sectors == pytest.approx(fill, abs=100)


def test_verifier_sees_another_volumes_content(tmp_path):
    stamp.prefill(tmp_path / "image", "root", MIB, 1000)
    assert verify_image(tmp_path / "image", "data").broken == MIB // 512


# ---- the timeline ----


def test_timeline_puts_all_clocks_in_order(tmp_path):
    write(tmp_path / "lab.log", "1795231867.500 wan cut\n")
    write(tmp_path / "hosta/logs/events.log", "2026-11-21 03:31:08.001+0000: event one\n\tdetail: 1\n")
    write(tmp_path / "hostb/logs/relay.log", "2026-11-21T03:31:07.900Z INFO ready\n")
    write(tmp_path / "hostb/root/var/log/libvirt/vm-console.log", "load: stat t=1795231867.950 writes=1\n")
    entries = timeline.merged(tmp_path)
    assert [(e.host, e.source, e.text) for e in entries] == [
        ("lab", "lab", "wan cut"),
        ("hostb", "relay", "INFO ready"),
        ("hostb", "vm-console", "load: stat t=1795231867.950 writes=1"),
        ("hosta", "events", "event one"),
        ("hosta", "events", "\tdetail: 1"),
    ]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# ---- nothing left behind ----


def test_nothing_is_left_behind():
    before = Traces()
    with Lab() as lab:
        assert lab.a.virsh("-c", "qemu+tcp://hostb/system", "hostname") == "hostb"
        assert Traces() != before
    assert Traces() == before


def test_a_killed_owner_takes_its_lab_along_and_the_next_lab_clears_up():
    before = Traces()
    script = "from lab.lab import Lab; lab = Lab(); lab.up(); print('up', flush=True); input()"
    owner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout.readline() == "up\n"
    assert Traces().processes != before.processes
    with pytest.raises(LabError, match="already up"):
        Lab().up()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_for(lambda: Traces().processes == before.processes, 5, "hosts and WAN die with their owner")
    assert RUNNING.exists()
    with Lab():
        pass
    assert Traces() == before


def test_an_interrupted_owner_leaves_nothing():
    before = Traces()
    script = "from lab.lab import Lab\nwith Lab():\n print('up', flush=True); input()"
    owner = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert owner.stdout.readline() == "up\n"
    owner.send_signal(signal.SIGINT)
    owner.communicate()
    assert Traces() == before


def test_a_lab_that_fails_half_way_is_cleared(monkeypatch):
    before = Traces()

    def fail(*_):
        raise RuntimeError("no libvirtd today")

    monkeypatch.setattr("lab.host.Host.await_libvirtd", fail)
    with pytest.raises(RuntimeError, match="no libvirtd today"):
        with Lab():
            pass
    assert Traces() == before


def test_labctl_brings_up_shows_and_clears_a_lab():
    before = Traces()

    def labctl(*arguments):
        command = [sys.executable, str(TESTS / "lab/labctl"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    try:
        labctl("up")
        assert all(f"{name} {address}" in labctl("status") for name, address in HOSTS.items())
        labctl("wan", "set", "--delay-ms", "3", "--direction", "ba")
        assert "wan ba delay_us=3000" in labctl("status")
        assert labctl("run", "hostb", "--", "hostname") == "hostb\n"
        assert "lab is up" in labctl("log")
    finally:
        assert labctl("down") == "down\n"
    assert Traces() == before
    assert not clear()
