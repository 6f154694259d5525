# SPDX-License-Identifier: Apache-2.0
"""The administrator's command lines: OpenStack's own, and vmferry's for OpenStack on a host that has its package."""

from lab.product import COMMAND

from .config import PASSWORD, REGION, URLS, service_command

ENVIRONMENT = {
    "OS_AUTH_URL": URLS["identity"],
    "OS_USERNAME": "admin",
    "OS_PASSWORD": PASSWORD,
    "OS_PROJECT_NAME": "admin",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_NAME": "Default",
    "OS_REGION_NAME": REGION,
    "OS_IDENTITY_API_VERSION": "3",
    "OS_COMPUTE_API_VERSION": "2.92",
}


def openstack_command(*arguments):
    return service_command("openstack", *arguments, **ENVIRONMENT)


def vmferry_command(*arguments, **environment):
    """ENVIRONMENT adds to the administrator's."""
    return service_command(COMMAND, *arguments, **ENVIRONMENT, **environment)
