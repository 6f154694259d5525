# SPDX-License-Identifier: Apache-2.0
"""The cloud's API for the tests: JSON over HTTP, as the administrator, from outside of the lab's networks."""

import http.client
import json

from .config import PASSWORD, PATHS, PORTS, SERVICE_USER, URLS

# The newest that Debian's services know and that a client of the same release would ask for.
VERSIONS = {
    "compute": {"X-OpenStack-Nova-API-Version": "2.92"},
    "volume": {"OpenStack-API-Version": "volume 3.70"},
    "placement": {"OpenStack-API-Version": "placement 1.36"},
}

TIMEOUT = 300  # seconds; Cinder answers when its other services have, on a busy machine


class ApiError(Exception):
    """A request that was refused: its HTTP status and what the service says."""

    def __init__(self, request, status, text):
        super().__init__(f"{request}: {status}: {text}")
        self.status = status
        self.text = text


class Api:
    """Paths are below a service's own root, such as "/servers" of "compute"; of "volume" below the project."""

    def __init__(self, controller):
        self._controller = controller
        self._token = None
        self.project = None
        self._user = None

    def login(self):
        user = {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer, headers = self._ask("identity", "POST", "/auth/tokens", body)
        self._token = headers["X-Subject-Token"]
        self.project = answer["token"]["project"]["id"]
        self._user = answer["token"]["user"]["id"]

    def make_service_user(self):
        """The user of all services: an administrator that other services trust as one of them."""
        project = self.post("identity", "/projects", {"project": {"name": "service", "domain_id": "default"}})
        user = {"name": SERVICE_USER, "password": PASSWORD, "domain_id": "default"}
        made = self.post("identity", "/users", {"user": user})
        roles = {role["name"]: role["id"] for role in self.get("identity", "/roles")["roles"]}
        if "service" not in roles:
            roles["service"] = self.post("identity", "/roles", {"role": {"name": "service"}})["role"]["id"]
        place = f"/projects/{project['project']['id']}/users/{made['user']['id']}"
        for name in ("admin", "service"):
            self.put("identity", f"{place}/roles/{roles[name]}")

    def make_application_credential(self, name):
        """Of the administrator, for a program: {"id": ..., "secret": ...}."""
        path = f"/users/{self._user}/application_credentials"
        return self.post("identity", path, {"application_credential": {"name": name}})["application_credential"]

    # ---- requests ----

    def get(self, service, path):
        return self._ask(service, "GET", path)[0]

    def post(self, service, path, body):
        return self._ask(service, "POST", path, body)[0]

    def put(self, service, path, body=None, **options):
        return self._ask(service, "PUT", path, body, **options)[0]

    def delete(self, service, path):
        return self._ask(service, "DELETE", path)[0]

    def upload(self, path, file):
        """Sets the content of an image."""
        self._ask("image", "PUT", path, file, content_type="application/octet-stream")

    def _ask(self, service, method, path, body=None, content_type="application/json"):
        headers = {"Accept": "application/json", "Connection": "close", **VERSIONS.get(service, {})}
        if self._token:
            headers["X-Auth-Token"] = self._token
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        if data is not None:
            headers["Content-Type"] = content_type
        project = f"/{self.project}" if service == "volume" else ""
        connection = _Connection(self._controller, PORTS[service])
        try:
            connection.request(method, PATHS[service] + project + path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise ApiError(f"{method} {URLS[service]}{path}", answer.status, text)
        content = json.loads(text) if answer.headers.get_content_type() == "application/json" and text else None
        return content, answer.headers


class _Connection(http.client.HTTPConnection):
    def __init__(self, controller, port):
        super().__init__("controller", port)
        self._dial = controller.dial

    def connect(self):
        self.sock = self._dial(self.port, TIMEOUT)
