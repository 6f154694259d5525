# SPDX-License-Identifier: Apache-2.0
"""The control API of relay and agent: JSON over HTTP on a Unix socket. No dependency but Python.

Sockets are taken from `socket` at call time, so it works under eventlet's monkey patching.
"""

import http.client
import json
import socket
import urllib.parse
import uuid

# A process on this host either listens or doesn't.
CONNECT_TIMEOUT = 5  # seconds

# relay and agent give up after 60 seconds themselves and say why; this is for one that hangs.
ANSWER_TIMEOUT = 70  # seconds


class ControlError(Exception):
    """What was asked was not done. The text is one sentence for people; CODE is for programs."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Unavailable(ControlError):
    """Nobody answers on the socket, or not in time. Whether a change was made is not known."""

    def __init__(self, message):
        super().__init__("UNAVAILABLE", message)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self._path = path

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_TIMEOUT)
            sock.connect(self._path)
            sock.settimeout(ANSWER_TIMEOUT)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class _Client:
    server = None
    unit = None

    def __init__(self, path):
        self._path = path

    def _ask(self, method, path, body=None):
        """Sends one request; returns what the answer holds, None if it is empty."""
        connection = _UnixConnection(self._path)
        headers = {"Connection": "close"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as e:
            raise Unavailable(self._no_answer(method, path, e)) from e
        finally:
            connection.close()
        if 200 <= response.status < 300:
            return self._decode(content, method, path) if content else None
        raise self._problem(response.status, content, method, path)

    def _no_answer(self, method, path, error):
        if isinstance(error, socket.timeout):
            reason = f"{method} {path} took longer than {ANSWER_TIMEOUT} s"
        else:
            reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        return (
            f"the vmferry {self.server} does not answer on {self._path}: {reason}; "
            f"start it with 'systemctl start {self.unit}'"
        )

    def _decode(self, content, method, path):
        try:
            return json.loads(content)
        except ValueError as e:
            raise ControlError(
                "INTERNAL",
                f"can't read the {self.server}'s answer to {method} {path}: {e}; is it the release of this package?",
            ) from e

    def _problem(self, status, content, method, path):
        try:
            problem = json.loads(content)
            error = ControlError(problem["code"], problem["message"])
        except (ValueError, KeyError, TypeError):
            return ControlError(
                "INTERNAL",
                f"the {self.server} answered {method} {path} with HTTP status {status} and no reason; "
                "is it the release of this package?",
            )
        return Unavailable(str(error)) if error.code == "UNAVAILABLE" else error


def _volume(name):
    return "/v1/volumes/" + urllib.parse.quote(name, safe="")


class RelayClient(_Client):
    """The relay of this host."""

    server = "relay"
    unit = "vmferry-relay"

    def status(self):
        """This node and its replicas."""
        return self._ask("GET", "/v1/status")

    def capacity(self):
        """{'total': bytes, 'free': bytes} of the file system that holds this node's volumes."""
        return self._ask("GET", "/v1/capacity")

    def create(self, name, size):
        """Makes an empty volume of SIZE bytes, owned by this node."""
        self._ask("POST", "/v1/volumes", {"name": name, "size": size})

    def location(self, name):
        """Where the volume is, whichever node owns it; NOT_FOUND if no node has it."""
        return self._ask("GET", _volume(name) + "/location")

    def extend(self, name, size):
        """Makes the volume SIZE bytes long, whichever node owns it."""
        self._ask("PUT", _volume(name) + "/size", {"size": size})

    def delete(self, name):
        """Deletes the volume, whichever node owns it; NOT_FOUND if no node has it."""
        self._ask("DELETE", _volume(name) + "/everywhere")

    def attach(self, name, purpose):
        """Makes a volume of another node readable here, for PURPOSE, a UUID, until it is dropped."""
        self._ask("POST", "/v1/standbys", {"domain": str(uuid.UUID(purpose)), "volumes": [name], "owner": None})

    def drop(self, purpose):
        """Ends what attach began."""
        self._ask("DELETE", "/v1/standbys/" + str(uuid.UUID(purpose)))


class AgentClient(_Client):
    """The agent of this host."""

    server = "agent"
    unit = "vmferry-agent"

    def require_servable(self, name):
        """Returns if a guest could use the volume on this host now; else the error says why not. Changes nothing."""
        self._ask("GET", _volume(name) + "/readiness")
