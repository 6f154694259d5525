# SPDX-License-Identifier: Apache-2.0
"""The DEB, as an operator meets it: on a fresh Debian with its own systemd, apt, libvirtd and nothing of ours.

The tests are one story, in this order: install while no systemd runs, boot, configure, use, upgrade, remove, purge.
"""

import os
import re
import subprocess
import time

import pytest

from lab import packages
from lab.container import CACHE, TOOLS, Container
from lab.installed import DEB
from lab.packaged import (
    CONFIG,
    EXPORT,
    HOOK,
    NBD_SOCKET,
    QEMU_USER,
    UNITS,
    VOLUME,
    Guest,
    archive_of,
    assert_built,
    create_volume,
    drop_in,
    journal,
    maps,
    read_pattern,
    set_up,
    show,
    usec,
)
from lab.paths import REPOSITORY
from lab.waiting import wait_for

# Exposure by systemd-analyze, times ten: 0 is the best, 100 the worst; what remains is explained in the units.
MOST_EXPOSED = 20


@pytest.fixture(scope="module")
def debian():
    packages.install_missing(TOOLS)
    assert_built()
    with Container(CACHE / "root") as container:
        container.run(["apt-get", "-q", "update"])
        yield container


@pytest.fixture(scope="module")
def installed(debian):
    """The package on a system on which no systemd runs, as in an image that is being built."""
    debian.copy_in(DEB, "/vmferry.deb")
    output = debian.install("/vmferry.deb", "qemu-utils").stdout
    ours = output[output.index("Setting up vmferry ") :]
    assert not re.search("fail|error|warning", ours.partition("Setting up ")[0], re.I), ours
    return debian


@pytest.fixture(scope="module")
def node(installed):
    """The same system, booted and set up as README.md says."""
    set_up(installed)
    return installed


# ---- installed, not booted


def test_install_works_without_a_running_systemd(installed):
    assert installed.run(["dpkg-query", "-W", "-f=${db:Status-Abbrev}", "vmferry"]).stdout.strip() == "ii"
    assert installed.groups_of("vmferry") == {"vmferry", QEMU_USER}, "the relay has no right on libvirt"
    assert installed.groups_of("vmferry-agent") == {"vmferry-agent", "vmferry", "libvirt"}
    assert f"nbd-socket-group: {QEMU_USER}" in installed.file(CONFIG).read_text()
    assert oct(installed.file(HOOK).stat().st_mode)[-3:] == "755"
    wanted = installed.file("/etc/systemd/system/multi-user.target.wants")
    assert not list(wanted.glob("vmferry*")), "nothing starts before it is configured"


def test_apparmor_lets_a_guest_reach_the_socket(installed):
    """The parser reads libvirt's own profile of guests with our rule in it."""
    rules = installed.run(["cat", "/etc/apparmor.d/local/abstractions/libvirt-qemu"]).stdout
    assert rules.count("include if exists <abstractions/libvirt-qemu.d>") == 1
    installed.install("apparmor")
    profile = "#include <tunables/global>\nprofile guest {\n  #include <abstractions/libvirt-qemu>\n}\n"
    installed.file("/tmp/guest").write_text(profile)
    whole = installed.run(["apparmor_parser", "--preprocess", "/tmp/guest"]).stdout
    assert f"{NBD_SOCKET} rw," in whole
    installed.run(["apparmor_parser", "--skip-kernel-load", "--skip-cache", "/tmp/guest"])


def test_the_command_runs_and_completes(installed):
    assert installed.run(["vmferry", "--version"]).stdout.startswith("vmferry ")
    completion = "/usr/share/bash-completion/completions/vmferry"
    installed.run(["bash", "-c", f"source {completion} && complete -p vmferry"])
    assert installed.file("/usr/share/man/man1/vmferry.1.gz").exists()


def test_a_java_that_is_too_old_is_passed_over(installed):
    """An older one may be the system's default."""
    old = installed.file("/opt/old")
    (old / "bin").mkdir(parents=True)
    (old / "bin/java").write_text("#!/bin/sh\necho old\n")
    (old / "bin/java").chmod(0o755)
    (old / "release").write_text('JAVA_VERSION="11.0.22"\n')
    assert "old" not in installed.run(["env", "VMFERRY_JAVA=/opt/old/bin/java", "vmferry", "--version"]).stdout
    (old / "release").write_text('JAVA_VERSION="21"\n')
    assert installed.run(["env", "VMFERRY_JAVA=/opt/old/bin/java", "vmferry", "--version"]).stdout == "old\n"


# ---- booted


def test_an_unconfigured_relay_says_so_and_is_not_tried_again(installed):
    installed.boot()
    started = installed.run(["systemctl", "start", "vmferry-relay"], check=False)
    assert started.returncode != 0
    assert show(installed, "vmferry-relay", "ExecMainStatus") == "78"
    assert show(installed, "vmferry-relay", "ActiveState") == "failed"
    assert "node: missing" in journal(installed, "vmferry-relay")
    installed.power_off()


def test_units_are_valid_and_little_exposed(node):
    files = [f"/usr/lib/systemd/system/{unit}.service" for unit in UNITS]
    verified = node.run(["systemd-analyze", "verify", "--man=no", *files])
    assert "vmferry" not in verified.stdout + verified.stderr
    recorded = (REPOSITORY / "SECURITY.md").read_text()
    for unit, file in zip(UNITS, files, strict=True):
        report = node.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                                f"--threshold={MOST_EXPOSED}", file], check=False)  # fmt: skip
        assert report.returncode == 0, report.stdout
        exposure = re.search(r"Overall exposure level for .*: (\S+)", report.stdout).group(1)
        assert f"`{unit}` {exposure}" in recorded, f"{unit}: SECURITY.md does not say {exposure}"


def test_relay_and_agent_run_as_their_users_without_any_right_more(node):
    for unit, user in (("vmferry-relay", "vmferry"), ("vmferry-agent", "vmferry-agent")):
        assert show(node, unit, "ActiveState") == "active", journal(node, unit)
        pid = show(node, unit, "MainPID")
        status = node.run(["cat", f"/proc/{pid}/status"]).stdout
        uid = node.run(["id", "-u", user]).stdout.strip()
        assert re.search(rf"^Uid:\t{uid}\t{uid}\t{uid}\t{uid}$", status, re.M)
        assert re.search(r"^CapBnd:\t0+$", status, re.M), "no capability can ever be had"
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        assert re.search(r"^Seccomp:\t2$", status, re.M), "system calls are filtered"


def test_relay_agent_and_command_start_from_the_archive_of_classes(node):
    """Guests wait for a relay that starts. How long it takes is for people: tests/startup."""
    archive = archive_of(node)
    assert archive.startswith("/var/cache/vmferry/classes-17."), "named for this Java"
    assert node.file(archive).stat().st_mode & 0o777 == 0o644 and node.file(archive).owner() == "root"
    for unit in UNITS:
        assert maps(node, show(node, unit, "MainPID"), archive), f"{unit} does not use {archive}"
    wall = (
        usec(node, "vmferry-relay", "ActiveEnterTimestampMonotonic")
        - usec(node, "vmferry-relay", "ExecMainStartTimestampMonotonic")
    ) / 1e6
    print(f"relay start until ready: {wall:.1f} s, load {os.getloadavg()[0]:.1f}")


def test_a_lost_archive_is_made_again_and_one_of_another_program_is_not_used(node):
    archive = archive_of(node)
    inode = node.file(archive).stat().st_ino
    node.run(["systemctl", "restart", "vmferry-relay"])
    assert node.file(archive).stat().st_ino == inode, "one that fits is left alone"
    node.file(archive).unlink()  # as after an update of Java
    node.run(["systemctl", "restart", "vmferry-relay"])
    assert not maps(node, show(node, "vmferry-relay", "MainPID"), archive), "it was served before the archive was made"
    assert node.file(archive).exists()
    node.run(["systemctl", "restart", "vmferry-relay"])
    assert maps(node, show(node, "vmferry-relay", "MainPID"), archive)
    # The jar with another date: another program.
    jar = "/usr/share/vmferry/vmferry.jar"
    seconds = node.file(jar).stat().st_mtime
    node.run(["touch", "--date=@1", jar])
    try:
        shown = node.run(["vmferry", "--version"])
        assert shown.stdout.startswith("vmferry ") and shown.stderr == "", "the JVM loads the classes from the jar"
    finally:
        os.utime(node.file(jar), (seconds, seconds))


def test_an_update_of_java_makes_the_archive_anew(node):
    """dpkg tells the package of any change below /usr/lib/jvm."""
    archive = archive_of(node)
    node.file(archive).unlink()
    node.run(["dpkg-trigger", "--by-package=vmferry", "/usr/lib/jvm"])
    node.run(["dpkg", "--triggers-only", "--pending"])
    assert node.file(archive).exists()


def test_reload_applies_a_new_rate_and_refuses_a_bad_file(node):
    """ExecReload runs within the unit's sandbox."""
    before = node.file(CONFIG).read_text()
    pid = show(node, "vmferry-relay", "MainPID")
    try:
        node.file(CONFIG).write_text(f"{before}copy:\n  rate-limit: 20 MiB/s\n")
        node.run(["systemctl", "reload", *UNITS])
        assert "20.0 MiB/s" in node.run(["vmferry", "rate"]).stdout
        assert "in force: copy.rate-limit" in journal(node, "vmferry-relay")
        node.file(CONFIG).write_text(f"{before}copy:\n  rate-limit: 30 MiB/s\n  connectoins: 4\n")
        refused = node.run(["systemctl", "reload", "vmferry-relay"], check=False)
        assert refused.returncode != 0
        assert "copy.connectoins" in journal(node, "vmferry-relay")
    finally:
        node.file(CONFIG).write_text(before)  # the command reads it too
    assert "20.0 MiB/s" in node.run(["vmferry", "rate"]).stdout, "nothing is changed"
    node.run(["systemctl", "reload", *UNITS])
    assert "none" in node.run(["vmferry", "rate"]).stdout
    assert show(node, "vmferry-relay", "MainPID") == pid, "it was not restarted"
    assert show(node, "vmferry-relay", "ActiveState") == "active"


def test_a_volume_is_served_to_qemus_user_and_to_nobody_else(node):
    create_volume(node)
    for stranger in ("nobody", "vmferry-agent"):
        refused = node.run(["qemu-io", "-f", "raw", "-c", "read 0 4k", EXPORT], user=stranger, check=False)
        assert "Permission denied" in refused.stdout + refused.stderr
        assert node.run(["ls", "/var/lib/vmferry"], user=stranger, check=False).returncode != 0
    assert node.run(["cat", "/etc/vmferry/pki/node.key"], user=QEMU_USER, check=False).returncode != 0


def test_a_large_read_is_sent_from_the_page_cache(node):
    """systemd's list of usual system calls lacks the one that asks what is in there; without it the mapping is given
    back."""
    node.run(["qemu-io", "-f", "raw", "-c", "write -P 7 0 256k", "-c", "read -P 7 0 256k", EXPORT], user=QEMU_USER)
    pid = show(node, "vmferry-relay", "MainPID")
    assert maps(node, pid, f"/var/lib/vmferry/volumes/{VOLUME}/data"), journal(node, "vmferry-relay")


def test_doctor_is_content_with_the_node(node):
    """The agent reaches libvirt with the rights its unit gives it."""
    wait_for(
        lambda: "FAIL" not in node.run(["vmferry", "doctor"], check=False).stdout,
        30,
        "vmferry doctor finds nothing broken",
        interval=1,
    )
    report = node.run(["vmferry", "doctor"]).stdout
    print(report)
    assert re.search("^ok +agent", report, re.M)


def test_metrics_are_there_for_who_may_use_the_sockets(node):
    curl = ["curl", "--silent", "--fail", "--unix-socket"]
    relay = node.run([*curl, "/run/vmferry/relay.sock", "http://localhost/metrics"]).stdout
    assert f'vmferry_volume_size_bytes{{volume="{VOLUME}"}} {64 << 20}\n' in relay
    agent = node.run([*curl, "/run/vmferry/agent.sock", "http://localhost/metrics"]).stdout
    assert "vmferry_libvirt_up 1\n" in agent
    stranger = node.run([*curl, "/run/vmferry/relay.sock", "http://localhost/metrics"], user="nobody", check=False)
    assert stranger.returncode != 0


def test_the_hook_refuses_what_the_agent_refuses_as_libvirt_would_call_it(node):
    xml = f"<domain type='qemu'><name>vm</name>" \
          f"<uuid>2b1d4a34-58a1-4d4b-9b3c-0f3c8f0f6a11</uuid><devices><disk type='network'><source protocol='nbd' name='absent'>" \
          f"<host transport='unix' socket='{NBD_SOCKET}'/></source></disk></devices></domain>"  # fmt: skip
    refused = node.run([HOOK, "vm", "migrate", "begin", "-"], input=xml, check=False)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("vmferry: ") and "absent" in refused.stderr
    assert node.run([HOOK, "vm", "migrate", "begin", "-"], input="<domain/>").stdout == ""


def test_a_relay_that_hangs_is_restarted_and_shows_its_threads(node):
    drop_in(node, "vmferry-relay", "WatchdogSec=2")
    node.run(["systemctl", "restart", "vmferry-relay"])
    time.sleep(5)  # longer than the watchdog's patience
    before = show(node, "vmferry-relay", "MainPID")
    assert show(node, "vmferry-relay", "NRestarts") == "0", "a relay that is well is left alone"
    node.run(["sh", "-c", f"kill -STOP {before}"])
    wait_for(
        lambda: show(node, "vmferry-relay", "ActiveState") == "active"
        and show(node, "vmferry-relay", "MainPID") not in ("0", before),
        30,
        "the relay was restarted",
        interval=0.2,
    )
    assert "Watchdog timeout" in journal(node, "vmferry-relay")
    assert read_pattern(node) == 0, "nothing is lost"
    drop_in(node, "vmferry-relay", None)
    node.run(["systemctl", "restart", "vmferry-relay"])


def test_a_killed_relay_comes_back_by_itself(node):
    before = show(node, "vmferry-relay", "MainPID")
    node.run(["sh", "-c", f"kill -KILL {before}"])
    wait_for(
        lambda: show(node, "vmferry-relay", "ActiveState") == "active"
        and show(node, "vmferry-relay", "MainPID") not in ("0", before),
        30,
        "the relay was restarted",
        interval=0.2,
    )
    assert read_pattern(node) == 0


def test_a_relay_that_can_not_see_processes_refuses_to_start(node):
    """It would take a running guest for an ended one."""
    drop_in(node, "vmferry-relay", "ProtectProc=invisible\nRestartPreventExitStatus=1")
    try:
        assert node.run(["systemctl", "restart", "vmferry-relay"], check=False).returncode != 0
        assert "can't see other users' processes in /proc" in journal(node, "vmferry-relay")
    finally:
        drop_in(node, "vmferry-relay", None)
    node.run(["systemctl", "restart", "vmferry-relay"])


# ---- upgrade, removal, purge


def test_upgrade_replaces_the_agent_but_no_relay_that_has_guests(node):
    before = {unit: show(node, unit, "MainPID") for unit in UNITS}
    with Guest(node) as guest:
        output = upgrade(node, 2)
        assert show(node, "vmferry-relay", "MainPID") == before["vmferry-relay"]
        assert show(node, "vmferry-agent", "MainPID") != before["vmferry-agent"]
        assert "the relay was not restarted: guests use its volumes" in output
        assert "`systemctl restart vmferry-relay`" in output
        assert guest.read() == "read 4096", "the guest's connection was not touched"
    upgrade(node, 3)
    assert show(node, "vmferry-relay", "MainPID") != before["vmferry-relay"], "nobody uses it: it is renewed"
    assert show(node, "vmferry-relay", "ActiveState") == "active"
    assert "node: host-a" in node.file(CONFIG).read_text(), "the configuration is the operator's"
    assert read_pattern(node) == 0


def test_removal_is_refused_while_a_guest_is_connected(node):
    with Guest(node) as guest:
        removal = node.run(["apt-get", "-y", "remove", "vmferry"], check=False)
        assert removal.returncode != 0
        assert "not removed: vmferry-relay runs and guests use its volumes" in removal.stdout + removal.stderr
        assert guest.read() == "read 4096"
    node.run(["dpkg", "--configure", "-a"])
    assert show(node, "vmferry-relay", "ActiveState") == "active"


def test_removal_keeps_volumes_and_configuration(node):
    output = node.run(["apt-get", "-y", "remove", "vmferry"]).stdout
    assert "the volumes stay in /var/lib/vmferry/volumes" in output
    assert node.file(f"/var/lib/vmferry/volumes/{VOLUME}/data").exists()
    assert node.file(CONFIG).exists()
    assert show(node, "vmferry-relay", "ActiveState") == "inactive"
    assert "libvirt-qemu.d>" not in node.file("/etc/apparmor.d/local/abstractions/libvirt-qemu").read_text()


def test_purge_is_refused_while_there_is_a_volume(node):
    purge = node.run(["apt-get", "-y", "purge", "vmferry"], check=False)
    assert purge.returncode != 0
    assert "purge refused: /var/lib/vmferry/volumes still has 1 volume(s)" in purge.stdout + purge.stderr
    assert node.file(f"/var/lib/vmferry/volumes/{VOLUME}/data").exists()
    assert node.file(CONFIG).exists() and node.file("/etc/vmferry/pki/node.key").exists()


def test_after_a_new_installation_the_volume_is_there_again(node):
    node.copy_in(DEB, "/vmferry.deb")
    node.run(["dpkg", "-i", "/vmferry.deb"])
    node.run(["systemctl", "start", *UNITS])
    assert read_pattern(node) == 0
    node.run(["vmferry", "volume", "delete", VOLUME])


def test_purge_without_volumes_leaves_nothing_but_the_certificates(node):
    node.run(["apt-get", "-y", "purge", "vmferry"])
    assert node.run(["dpkg-query", "-W", "vmferry"], check=False).returncode != 0
    # -xdev: not /proc and /sys.
    left = node.run(["find", "/", "-xdev", "-name", "*vmferry*", "-not", "-path", "/var/log/*", "-not", "-path",
                     "/vmferry*", "-not", "-path", "/tmp/*", "-not", "-path", "/var/tmp/*"]).stdout.split()  # fmt: skip
    assert left == ["/etc/vmferry"]
    assert node.run(["ls", "/etc/vmferry"]).stdout.split() == ["pki"]


# ---- helpers


def upgrade(node, revision):
    """Installs the package once more with a higher revision; returns what the operator sees."""
    work = CACHE / "repack"
    subprocess.run(["rm", "-rf", work], check=True)
    subprocess.run(["dpkg-deb", "-R", DEB, work], check=True)
    control = work / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^(Version: .*-)\d+$", rf"\g<1>{revision}", control.read_text()))
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", work, CACHE / "upgrade.deb"],
                   check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    node.copy_in(CACHE / "upgrade.deb", "/vmferry.deb")
    subprocess.run(["rm", "-rf", work, CACHE / "upgrade.deb"], check=True)
    done = node.run(["dpkg", "-i", "/vmferry.deb"])
    return done.stdout + done.stderr
