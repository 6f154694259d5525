# SPDX-License-Identifier: Apache-2.0
"""The Debian packages that the cloud needs; installs only what is missing.

It is OpenStack's code as Debian has it, without the packages that make services of it: those would be started at the
machine's next boot, and nova-compute would bring a libvirtd. The programs are started by their entry points.
"""

from lab import packages

DIST = "/usr/lib/python3/dist-packages"

# One file that tells whether the package is there -> the package. The "common" packages have the api-paste.ini files.
NEEDED = {
    f"{DIST}/keystone/__init__.py": "python3-keystone",
    f"{DIST}/placement/__init__.py": "python3-placement",
    "/etc/glance/glance-api-paste.ini": "glance-common",
    "/etc/nova/api-paste.ini": "nova-common",
    f"{DIST}/libvirt.py": "python3-libvirt",
    "/etc/cinder/api-paste.ini": "cinder-common",
    "/etc/neutron/api-paste.ini": "neutron-common",
    "/usr/bin/openstack": "python3-openstackclient",
    f"{DIST}/pymysql/__init__.py": "python3-pymysql",
    "/usr/sbin/mariadbd": "mariadb-server-core",
    "/usr/bin/mariadb": "mariadb-client-core",
    "/usr/sbin/rabbitmq-server": "rabbitmq-server",
    "/usr/bin/uwsgi-core": "uwsgi-core",
    "/usr/lib/uwsgi/plugins/python3_plugin.so": "uwsgi-plugin-python3",
    "/usr/bin/genisoimage": "genisoimage",  # config drives
}


def install_missing():
    if packages.missing(NEEDED):
        with packages.services_stay_down():  # RabbitMQ's
            packages.install_missing(NEEDED)


if __name__ == "__main__":
    install_missing()
