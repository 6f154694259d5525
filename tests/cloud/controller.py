# SPDX-License-Identifier: Apache-2.0
"""The controller: a third host of the lab with database, queue, and everything of OpenStack that computes nothing."""

import contextlib
import ctypes
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

from lab.host import Host
from lab.waiting import wait_for

from . import config
from .config import CONTROLLER, PASSWORD, PORTS, STATE, program, service_command

ADDRESS = "198.51.100.1"  # for examples (RFC 5737), like those of the hosts here
HOST_ADDRESSES = {"hosta": "198.51.100.2", "hostb": "198.51.100.3"}

# Seconds. All generous: they end a start that hangs on a busy machine.
DATABASE_TIMEOUT = 120
TOOL_TIMEOUT = 400  # one tool that makes the tables of a service
SERVICE_TIMEOUT = 240

MARIADB_SOCKET = f"{STATE}/mariadb.sock"

# The databases live as long as the lab: nothing is ever forced to a disk.
MARIADB = [
    "mariadbd", "--no-defaults", "--user=root", f"--datadir={STATE}/mariadb", f"--socket={MARIADB_SOCKET}",
    f"--pid-file={STATE}/mariadb.pid", f"--bind-address={ADDRESS}", "--skip-name-resolve", "--skip-log-bin",
    "--performance-schema=0", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--max-connections=500",
    "--innodb-log-file-size=32M", "--character-set-server=utf8mb3", "--collation-server=utf8mb3_general_ci",
]  # fmt: skip

RABBITMQ_ENVIRONMENT = {
    "HOME": f"{STATE}/rabbitmq",  # of the cookie
    "RABBITMQ_NODENAME": "rabbit@localhost",
    "RABBITMQ_CONFIG_FILE": f"{STATE}/rabbitmq.conf",
    "RABBITMQ_CONF_ENV_FILE": "/dev/null",
    "RABBITMQ_ENABLED_PLUGINS_FILE": f"{STATE}/rabbitmq/plugins",
    "RABBITMQ_MNESIA_BASE": f"{STATE}/rabbitmq/mnesia",
    "RABBITMQ_LOG_BASE": f"{STATE}/rabbitmq/log",
    "RABBITMQ_PID_FILE": f"{STATE}/rabbitmq/pid",
    "RABBITMQ_LOGS": "-",
}

# Connections are not kept: uwsgi resets one that is kept after a DELETE.
UWSGI = [
    "uwsgi-core", "--plugin", "python3", "--master", "--die-on-term", "--need-app", "--lazy-apps", "--threads", "1",
    "--processes", "2", "--buffer-size", "65535", "--add-header", "Connection: close", "--disable-logging",
]  # fmt: skip

# Service -> what its configuration is named by, and what makes its application.
WSGI = {
    "identity": ("keystone", "keystone.server.wsgi:initialize_public_application"),
    "placement": ("placement", "placement.wsgi:init_application"),
    "compute": ("nova", "nova.api.openstack.compute.wsgi:init_application"),
}

# Each of these chains is independent of the others.
SYNCHRONISE = [
    [
        ["keystone-manage", "db_sync"],
        ["keystone-manage", "fernet_setup", "--keystone-user", "root", "--keystone-group", "root"],
        ["keystone-manage", "credential_setup", "--keystone-user", "root", "--keystone-group", "root"],
        ["keystone-manage", "bootstrap", "--bootstrap-password", PASSWORD],
        ["placement-manage", "db", "sync"],
        ["glance-manage", "db_sync"],
        ["cinder-manage", "db", "sync"],
    ],
    [
        ["nova-manage", "api_db", "sync"],
        ["nova-manage", "cell_v2", "map_cell0", "--database_connection", config.database("nova_cell0")],
        ["nova-manage", "db", "sync"],
        ["nova-manage", "cell_v2", "create_cell", "--name", "cell1"],
        ["neutron-db-manage", "upgrade", "head"],
    ],
]

CONFIG_OF = {
    "keystone-manage": "keystone.conf", "placement-manage": "placement.conf", "glance-manage": "glance.conf",
    "cinder-manage": "cinder.conf", "nova-manage": "nova.conf", "neutron-db-manage": "neutron.conf",
}  # fmt: skip


class Controller(Host):
    """A host without libvirt. `begin` after `Lab.add`; its services are processes of the host and end with it."""

    own_folders = ()

    def __init__(self, folder):
        super().__init__(CONTROLLER, ADDRESS, folder)

    def _configure(self, settings):
        """What its services read is below /run, which this host has only when it is up."""

    # ---- network ----

    def connect(self, hosts):
        """A link of its own to each host, without delay; both ends know each other's names."""
        for number, host in enumerate(hosts):
            address = HOST_ADDRESSES[host.name]
            # The process ids are those of this machine, so only the network namespace is entered here.
            outside = ["nsenter", "--target", str(self.pid), "--net", "--", "ip"]
            link = ["link", "add", f"cloud{number}", "type", "veth", "peer", "name", "cloud", "netns", str(host.pid)]
            subprocess.run([*outside, *link], check=True)
            self.run(["ip", "address", "add", ADDRESS, "peer", address, "dev", f"cloud{number}"])
            self.run(["ip", "link", "set", f"cloud{number}", "up"])
            host.run(["ip", "address", "add", address, "peer", ADDRESS, "dev", "cloud"])
            host.run(["ip", "link", "set", "cloud", "up"])
            with open(host.root / "etc/hosts", "a") as names:
                names.write(f"{ADDRESS} {CONTROLLER}\n")

    # ---- services ----

    def begin(self):
        """Database, queue, tables, and all services that answer requests. Users are the caller's matter: api.py."""
        config.write(
            self,
            {
                "keystone.conf": config.KEYSTONE,
                "catalog.templates": config.catalog(),
                "placement.conf": config.PLACEMENT,
                "glance.conf": config.GLANCE,
                "nova.conf": config.NOVA_CONTROLLER.format(address=ADDRESS),
                "cinder.conf": config.CINDER.format(name=CONTROLLER, address=ADDRESS),
                "neutron.conf": config.NEUTRON,
                "rabbitmq.conf": config.RABBITMQ.format(address=ADDRESS),
                "rabbitmq/plugins": "[].\n",
            },
        )
        # nova-api looks for this in the folder of its configuration, whatever that says.
        os.symlink("/etc/nova/api-paste.ini", config.inside(self) / "api-paste.ini")
        self._start_stores()
        with ThreadPoolExecutor() as chains:
            list(chains.map(self._run_all, SYNCHRONISE))
        self._start_apis()

    def _start_stores(self):
        rabbitmq = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        self.service("rabbitmq").start(service_command(rabbitmq, **RABBITMQ_ENVIRONMENT))
        install = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={STATE}/mariadb", "--skip-test-db"]
        self.run(service_command(*install, "--auth-root-authentication-method=normal"), timeout=DATABASE_TIMEOUT)
        self.service("mariadb").start(service_command(*MARIADB))
        self.await_port(3306, DATABASE_TIMEOUT)
        statements = [f"CREATE DATABASE {name};" for name in config.DATABASES]
        statements += [f"CREATE USER '{config.DATABASE_USER}'@'%' IDENTIFIED BY '{PASSWORD}';"]
        statements += [f"GRANT ALL ON *.* TO '{config.DATABASE_USER}'@'%';"]
        self.run(["mariadb", "--no-defaults", f"--socket={MARIADB_SOCKET}"], stdin_text="\n".join(statements))
        self.await_port(5672, DATABASE_TIMEOUT)

    def _run_all(self, commands):
        for tool, *arguments in commands:
            self.run(program(tool, CONFIG_OF[tool], *arguments), timeout=TOOL_TIMEOUT)

    def _start_apis(self):
        for service, (name, function) in WSGI.items():
            uwsgi = [*UWSGI, "--http-socket", f"{ADDRESS}:{PORTS[service]}", "--module", f"{function}()"]
            folder = {f"OS_{name.upper()}_CONFIG_DIR": STATE}
            self.service(f"{name}-api").start(service_command(*uwsgi, **folder))
        for name, file in (("glance-api", "glance"), ("cinder-api", "cinder"), ("neutron-server", "neutron")):
            self.service(name).start(program(name, f"{file}.conf"))
        for port in PORTS.values():
            self.await_port(port, SERVICE_TIMEOUT)

    def begin_workers(self):
        """What takes the work on; to be started when the services' user exists."""
        for name, file in (("nova-conductor", "nova"), ("nova-scheduler", "nova"), ("cinder-scheduler", "cinder")):
            self.service(name).start(program(name, f"{file}.conf"))

    # ---- from this machine into the controller's network ----

    def await_port(self, port, timeout):
        wait_for(lambda: self._listens(port), timeout, f"port {port} of the controller answers: see {self.logs}", 0.2)

    def _listens(self, port):
        try:
            self.dial(port, 5).close()
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def network(self):
        """The calling thread is in the controller's network while the body runs; a socket stays where it is made."""
        with open("/proc/thread-self/ns/net") as own, open(f"/proc/{self.pid}/ns/net") as there:
            _enter(there)
            try:
                yield
            finally:
                _enter(own)

    def dial(self, port, timeout):
        """A connection to a port of the controller, made from this machine."""
        with self.network():
            connection = socket.socket()
        connection.settimeout(timeout)
        try:
            connection.connect((ADDRESS, port))
        except OSError:
            connection.close()
            raise
        return connection


def _enter(namespace):
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace.name)
