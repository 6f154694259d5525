# SPDX-License-Identifier: Apache-2.0
"""vmferry on lab hosts as its Debian package installs it: the package's files, scripts, users and units."""

import fcntl
import re
import resource
import shlex
import shutil
import subprocess

from .paths import LAB, REPOSITORY, TARGET

DEB = REPOSITORY / "packaging/target/vmferry.deb"
JAR = REPOSITORY / "agent/cli/target/vmferry.jar"
UNPACKED = TARGET / "installed"

INSTALL_TIMEOUT = 300  # seconds; the first host of a new package makes the archive of classes, on a busy machine perhaps

DEFAULT_CONFIG = "usr/share/vmferry/vmferry.yaml"
UNITS = "usr/lib/systemd/system"


class Installed:
    """The package as it was built, unpacked once for all labs."""

    def __init__(self):
        if not DEB.exists() or not JAR.exists():
            raise FileNotFoundError(f"{DEB} is not built: run mvn -B package -DskipTests")
        built = DEB.stat()
        if built.st_mtime < JAR.stat().st_mtime:
            raise FileNotFoundError(f"{DEB} is older than {JAR}: run mvn -B package -DskipTests, without -pl")
        self._folder = UNPACKED / f"{built.st_mtime_ns}-{built.st_size}"
        UNPACKED.mkdir(parents=True, exist_ok=True)
        with open(UNPACKED / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # labs may run side by side
            if not self._folder.exists():
                self._unpack()

    def _unpack(self):
        for old in UNPACKED.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        partial = UNPACKED / "partial"
        partial.mkdir()
        subprocess.run(["dpkg-deb", "--extract", DEB, partial / "tree"], check=True)
        subprocess.run(["dpkg-deb", "--control", DEB, partial / "control"], check=True)
        (partial / "cache").mkdir()
        partial.rename(self._folder)

    def install(self, host):
        """On a running host. libvirtd must be told to reload afterwards: where no systemd runs, the package can't."""
        said = host.run([LAB / "install.sh", self._folder], timeout=INSTALL_TIMEOUT)
        if "vmferry: " in said.stderr:  # systemd-sysusers tells there what it made
            raise RuntimeError(f"{host.name}: the package's script complains: {said.stderr}")

    @property
    def default_config(self):
        return (self._folder / "tree" / DEFAULT_CONFIG).read_text()

    def unit(self, name):
        return Unit((self._folder / "tree" / UNITS / f"{name}.service").read_text())


class Unit:
    """A service as its unit file describes it, to be started without systemd.

    In force are its command, user, groups, directories, limits and environment, and that it can't get more rights. The
    sandbox around it is not: tests change a host's mounts under a running relay (test_packages.py has the sandbox).
    """

    def __init__(self, text):
        self._text = text

    def _all(self, key):
        return re.findall(rf"^{key}=(.*)$", self._text, re.M)

    def _one(self, key):
        [value] = self._all(key)
        return value

    def command(self, java_options=""):
        """Becomes the service's process, with further options of the JVM."""
        user, group = self._one("User"), self._one("Group")
        script = ["set -e"]
        for kind, parent in (("StateDirectory", "/var/lib"), ("CacheDirectory", "/var/cache")):
            for name in self._all(kind):
                mode = self._one(f"{kind}Mode")
                script.append(f"install -d -o {user} -g {group} -m {mode} {parent}/{name}")
        script.append(f"umask {self._one('UMask')}")
        # No more than this machine's own limit, which root may not raise in every container.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        script.append(f"ulimit -n {min(int(self._one('LimitNOFILE')), most)}")
        for assignments in self._all("Environment"):
            script += [f"export {shlex.quote(assignment)}" for assignment in shlex.split(assignments)]
        if java_options:
            script.append(f'VMFERRY_JAVA_OPTS="$VMFERRY_JAVA_OPTS {java_options}"')
        assert self._one("CapabilityBoundingSet") == "" and self._one("NoNewPrivileges") == "yes"
        rights = "--no-new-privs --bounding-set=-all --inh-caps=-all"
        script.append(f"exec setpriv --reuid={user} --regid={group} --init-groups {rights} {self._one('ExecStart')}")
        return ["sh", "-c", "\n".join(script)]
