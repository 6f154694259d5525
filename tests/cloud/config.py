# SPDX-License-Identifier: Apache-2.0
"""What each service of the cloud reads. Nothing of the packages' own files below /etc is used but api-paste.ini.
"""

from pathlib import Path

from lab.paths import LAB

ENTRY_POINT = LAB.parent / "cloud/entry-point"

CONTROLLER = "controller"  # a name that all hosts of the cloud know

# The lab's own networks can't be reached from outside, so this is no secret.
PASSWORD = "lab"

REGION = "lab"
PORTS = {"identity": 5000, "placement": 8778, "compute": 8774, "image": 9292, "volume": 8776, "network": 9696}
PATHS = {"identity": "/v3", "placement": "", "compute": "/v2.1", "image": "", "volume": "/v3", "network": ""}
URLS = {service: f"http://{CONTROLLER}:{port}{PATHS[service]}" for service, port in PORTS.items()}

# The keys are types of services as clients know them.
CATALOG = {
    "identity": URLS["identity"],
    "placement": URLS["placement"],
    "compute": URLS["compute"],
    "image": URLS["image"],
    "volumev3": URLS["volume"] + "/$(tenant_id)s",
    "network": URLS["network"],
}

DATABASES = ["keystone", "placement", "glance", "nova_api", "nova", "nova_cell0", "cinder", "neutron"]
DATABASE_USER = "cloud"

SERVICE_USER = "svc"
BACKEND = "vmferry"  # name of the backend and of the volume type

# Everything of the services is below this folder of a host; it is in memory.
STATE = "/run/lab/cloud"

# Seconds. A call waits for its answer on a machine that others use, too.
RPC_TIMEOUT = 180


def database(name):
    return f"mysql+pymysql://{DATABASE_USER}:{PASSWORD}@{CONTROLLER}/{name}?charset=utf8"


LOGIN = f"""\
auth_type = password
auth_url = {URLS["identity"]}
username = {SERVICE_USER}
password = {PASSWORD}
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = {REGION}
"""

# Services that other services call check tokens of users and, beside them, of the calling service.
TOKENS = f"""\
[keystone_authtoken]
www_authenticate_uri = {URLS["identity"]}
{LOGIN}service_token_roles = service
service_token_roles_required = true
"""

QUEUE = f"""\
transport_url = rabbit://guest:guest@{CONTROLLER}:5672/
rpc_response_timeout = {RPC_TIMEOUT}
"""

KEYSTONE = f"""\
[database]
connection = {database("keystone")}
[catalog]
driver = templated
template_file = {STATE}/catalog.templates
[token]
provider = fernet
[fernet_tokens]
key_repository = {STATE}/fernet-keys
[credential]
key_repository = {STATE}/credential-keys
"""

PLACEMENT = f"""\
[placement_database]
connection = {database("placement")}
[api]
auth_strategy = keystone
{TOKENS}"""

GLANCE = f"""\
[DEFAULT]
bind_host = {CONTROLLER}
workers = 1
node_staging_uri = file://{STATE}/glance/staging
[database]
connection = {database("glance")}
[glance_store]
stores = file
default_store = file
filesystem_store_datadir = {STATE}/glance/images
[oslo_concurrency]
lock_path = {STATE}/locks
[paste_deploy]
flavor = keystone
config_file = /etc/glance/glance-api-paste.ini
{TOKENS}"""

# What nova needs to know of the others, on the controller and on the hosts.
NOVA_NEIGHBOURS = f"""\
[placement]
{LOGIN}
[glance]
api_servers = {URLS["image"]}
[cinder]
catalog_info = volumev3::publicURL
os_region_name = {REGION}
{LOGIN}
[neutron]
{LOGIN}
[service_user]
send_service_user_token = true
{LOGIN}
[vnc]
enabled = false
[oslo_messaging_notifications]
driver = noop
[oslo_concurrency]
lock_path = {STATE}/locks
"""

NOVA_CONTROLLER = f"""\
[DEFAULT]
{QUEUE}my_ip = {{address}}
state_path = {STATE}/nova
[api_database]
connection = {database("nova_api")}
[database]
connection = {database("nova")}
[api]
auth_strategy = keystone
[conductor]
workers = 1
[scheduler]
workers = 1
discover_hosts_in_cells_interval = 5
{NOVA_NEIGHBOURS}{TOKENS}"""

# No database here: nova-compute must have none. The servers' memory crosses the WAN, what services say to each other
# doesn't. Privileged helpers are started directly, because all of it is root here: no sudo is needed.
NOVA_COMPUTE = f"""\
[DEFAULT]
{QUEUE}host = {{name}}
my_ip = {{address}}
compute_driver = vmferry.VmferryLibvirtDriver
state_path = /var/lib/nova
instances_path = /var/lib/nova/instances
shutdown_timeout = 3
vif_plugging_is_fatal = false
vif_plugging_timeout = 0
[libvirt]
virt_type = qemu
connection_uri = qemu:///system
images_type = raw
live_migration_scheme = tcp
live_migration_inbound_addr = {{wan_address}}
live_migration_permit_post_copy = true
[nova_sys_admin]
helper_command = privsep-helper --config-file {STATE}/nova.conf
[privsep_osbrick]
helper_command = privsep-helper --config-file {STATE}/nova.conf
{NOVA_NEIGHBOURS}{TOKENS}"""

CINDER = f"""\
[DEFAULT]
{QUEUE}host = {{name}}
my_ip = {{address}}
osapi_volume_listen = {{address}}
osapi_volume_workers = 1
auth_strategy = keystone
api_paste_config = /etc/cinder/api-paste.ini
state_path = {STATE}/cinder
image_conversion_dir = {STATE}/cinder/conversion
glance_api_servers = {URLS["image"]}
enabled_backends = {BACKEND}
default_volume_type = {BACKEND}
[database]
connection = {database("cinder")}
[coordination]
backend_url = file://{STATE}/cinder/coordination
[oslo_concurrency]
lock_path = {STATE}/locks
[oslo_messaging_notifications]
driver = noop
[privsep_osbrick]
helper_command = privsep-helper --config-file {STATE}/cinder.conf
[cinder_sys_admin]
helper_command = privsep-helper --config-file {STATE}/cinder.conf
[nova]
interface = public
{LOGIN}
[service_user]
send_service_user_token = true
{LOGIN}
[{BACKEND}]
volume_driver = vmferry_openstack.cinder_driver.VmferryVolumeDriver
volume_backend_name = {BACKEND}
{TOKENS}"""

# Nova asks for the ports of each server that it shows, so this must answer; no server has a port.
NEUTRON = f"""\
[DEFAULT]
{QUEUE}bind_host = {CONTROLLER}
state_path = {STATE}/neutron
auth_strategy = keystone
core_plugin = ml2
service_plugins = router,port_forwarding
api_workers = 1
rpc_workers = 0
api_paste_config = /etc/neutron/api-paste.ini
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[ml2]
type_drivers = flat
tenant_network_types = flat
mechanism_drivers =
[database]
connection = {database("neutron")}
[oslo_concurrency]
lock_path = {STATE}/locks
{TOKENS}"""

RABBITMQ = """\
listeners.tcp.1 = {address}:5672
loopback_users = none
"""

FOLDERS = [
    "home", "tmp", "locks", "glance/staging", "glance/images", "nova", "neutron", "cinder/conversion",
    "cinder/coordination", "rabbitmq", "mariadb",
]  # fmt: skip


def catalog():
    lines = []
    for service, url in CATALOG.items():
        prefix = f"catalog.{REGION}.{service}"
        lines += [f"{prefix}.{facing}URL = {url}" for facing in ("public", "internal", "admin")]
        lines += [f"{prefix}.name = {service}"]
    return "".join(f"{line}\n" for line in lines)


def write(host, files):
    """Makes the services' folders of a host, and their files there: {name: text}."""
    state = inside(host)
    for folder in FOLDERS:
        (state / folder).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (state / name).write_text(text)


def inside(host):
    """The folder of a host's services, as seen from outside."""
    return Path(host.root, STATE.lstrip("/"))


def service_command(*command, **environment):
    """The command line of a service or of one of its tools: nothing of it gets out of the host's own folders."""
    settings = {"HOME": f"{STATE}/home", "TMPDIR": f"{STATE}/tmp", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return ["env", *(f"{name}={value}" for name, value in settings.items()), *command]


def program(name, file, *arguments):
    """The command line of a program of OpenStack with one of the files above."""
    return service_command(str(ENTRY_POINT), name, "--config-file", f"{STATE}/{file}", *arguments)
