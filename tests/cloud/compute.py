# SPDX-License-Identifier: Apache-2.0
"""A compute host: a host of the lab with vmferry's drivers in its Nova and Cinder, from their package as on a real one."""

from lab.paths import LAB, REPOSITORY, RUNNING

from . import config
from .controller import HOST_ADDRESSES

DRIVERS = REPOSITORY / "nova-plugin-shim/target/python3-vmferry-openstack.deb"

# vmferry itself is there, but not by way of dpkg (lab/installed.py).
INSTALL = ["dpkg", "--log=/dev/null", "--ignore-depends=vmferry", "--install", DRIVERS]
CLOUD = LAB.parent / "cloud"
QEMU = "/usr/bin/qemu-system-x86_64"

# Between compute hosts Nova uses both; here the machine's are replaced.
STAND_INS = {"/usr/bin/scp": "scp-in-the-lab", "/usr/bin/ssh": "ssh-in-the-lab"}

# The machine's, below folders of the host's own: it may change them, the machine doesn't notice.
CHANGED_FOLDERS = ["/usr", "/var/lib/dpkg"]

# The host's own, empty at the start: what the packages made is for the machine.
OWN_FOLDERS = ["/var/lib/nova"]

DAEMON_TIMEOUT = 60  # seconds to end in an orderly way


class Compute:
    """nova-compute on a host, and cinder-volume if it is asked for. vmferry runs there already."""

    def __init__(self, host):
        self.host = host
        self._nova = host.service("nova-compute")
        self._cinder = host.service("cinder-volume")

    def prepare(self):
        """Drivers, folders and files."""
        host = self.host
        if not DRIVERS.exists():
            raise FileNotFoundError(f"{DRIVERS} is not built: run mvn -B package -DskipTests")
        for path in CHANGED_FOLDERS:
            upper, work = host.folder / f"changed{path}", host.folder / f"work{path}"
            upper.mkdir(parents=True)
            work.mkdir(parents=True)
            folders = f"lowerdir={path},upperdir={upper},workdir={work}"
            host.run(["mount", "-t", "overlay", "-o", folders, "overlay", path])
        for path in OWN_FOLDERS:
            (host.folder / f"root{path}").mkdir(parents=True)
            host.run(["mount", "--bind", f"{host.folder}/root{path}", path])
        host.run(["mkdir", "-p", "/var/lib/nova/instances"])
        host.run(INSTALL)
        host.run(["mv", QEMU, f"{QEMU}.real"])
        host.run(["cp", CLOUD / "qemu-with-odd-ram", QEMU])
        hosts = " ".join(f"[{address}]={name}" for name, address in HOST_ADDRESSES.items())
        for path, name in STAND_INS.items():
            text = (CLOUD / name).read_text().replace("@LAB@", str(RUNNING)).replace("@HOSTS@", hosts)
            host.run(["tee", path], stdin_text=text)
            host.run(["chmod", "755", path])
        self._configure()

    def _configure(self):
        host = self.host
        address = HOST_ADDRESSES[host.name]
        values = {"name": host.name, "address": address, "wan_address": host.address}
        config.write(
            host,
            {
                "nova.conf": config.NOVA_COMPUTE.format(**values),
                "cinder.conf": config.CINDER.format(name=host.name, address=address),
            },
        )

    # ---- services ----

    def start_nova(self):
        self._nova.start(config.program("nova-compute", "nova.conf"))

    def start_cinder(self):
        self._cinder.start(config.program("cinder-volume", "cinder.conf"))

    def ensure_running(self):
        """Starts again what a test has ended."""
        if not self._nova.running:
            self.start_nova()

    def kill_nova(self):
        """As a crash would: SIGKILL."""
        self._nova.kill()

    def stop_nova(self):
        self._nova.stop(DAEMON_TIMEOUT)
