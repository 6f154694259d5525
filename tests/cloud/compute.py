# SPDX-License-Identifier: Apache-2.0
"""A compute host: a host of the lab with the drivers of this repository in its Nova and Cinder, installed as on a real
one."""

from lab.paths import LAB, REPOSITORY, RUNNING

from . import config
from .controller import HOST_ADDRESSES

INSTALL = REPOSITORY / "nova-plugin-shim/install"
CLOUD = LAB.parent / "cloud"
QEMU = "/usr/bin/qemu-system-x86_64"
SCP = "/usr/bin/scp"

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
        """Drivers, folders and files. The machine's /usr is not touched: the host sees it below one of its own."""
        host = self.host
        for name in ("usr", "usr-work"):
            (host.folder / name).mkdir()
        folders = f"lowerdir=/usr,upperdir={host.folder}/usr,workdir={host.folder}/usr-work"
        host.run(["mount", "-t", "overlay", "-o", folders, "overlay", "/usr"])
        for path in OWN_FOLDERS:
            (host.folder / f"root{path}").mkdir(parents=True)
            host.run(["mount", "--bind", f"{host.folder}/root{path}", path])
        host.run(["mkdir", "-p", "/var/lib/nova/instances"])
        host.run([INSTALL])
        host.run(["mv", QEMU, f"{QEMU}.real"])
        host.run(["cp", CLOUD / "qemu-with-odd-ram", QEMU])
        host.run(["tee", SCP], stdin_text=(CLOUD / "scp-in-the-lab").read_text().replace("@LAB@", str(RUNNING)))
        host.run(["chmod", "755", SCP])
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
