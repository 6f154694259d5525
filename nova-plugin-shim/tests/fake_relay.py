# SPDX-License-Identifier: Apache-2.0
"""Relay and agent of one node, as far as the drivers can see: the control API on a Unix socket, volumes as bytes in
memory. What other nodes own is told with `own_elsewhere`. Faults are told with `fail`, `hang`, `hang_up` and `say`."""

import json
import re
import socketserver
import threading
import uuid
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

GIB = 1 << 30
STATUS = {"BAD_REQUEST": 400, "NOT_FOUND": 404, "UNAVAILABLE": 503, "INTERNAL": 500}  # all others: 409


class Problem(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Volume:
    def __init__(self, size, owner):
        self.size = size
        self.owner = owner
        self.state = "SERVING"
        self.clients = 0
        self.writes = 0
        self.content = b""

    def write(self, content):
        self.content = content
        self.writes += 1


class FakeRelay:
    """`with FakeRelay(path) as relay:` listens on PATH."""

    def __init__(self, path, node="node-a"):
        self.path = str(path)
        self.node = node
        self.volumes = {}
        self.standbys = {}  # by purpose
        self.calls = []  # "METHOD PATH" of each request
        self.not_servable = {}  # reason by volume
        self.total, self.free = 100 * GIB, 40 * GIB
        self._faults = []
        self._released = threading.Event()

    def __enter__(self):
        relay = self

        class Handler(_Handler):
            pass

        Handler.relay = relay
        self._server = _Server(self.path, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    # ---- what a test arranges

    def own_elsewhere(self, name, node="node-b"):
        self.volumes[name].owner = node

    def fail(self, call, code, message):
        """The next request that matches CALL, a regular expression, is refused."""
        self._faults.append((call, lambda handler: handler.problem(Problem(code, message))))

    def hang(self, call):
        self._faults.append((call, lambda handler: self._released.wait(120)))

    def hang_up(self, call):
        self._faults.append((call, lambda handler: None))

    def say(self, call, status, text):
        self._faults.append((call, lambda handler: handler.answer(status, text.encode())))

    def fault(self, call):
        for n, (pattern, act) in enumerate(self._faults):
            if re.search(pattern, call):
                del self._faults[n]
                return act
        return None

    # ---- the API

    def find(self, name):
        if name not in self.volumes:
            raise Problem("NOT_FOUND", f"there is no volume {name} on any node")
        return self.volumes[name]

    def handle(self, method, path, body):
        for pattern, action in ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                return action(self, *map(unquote, match.groups()), *([body] if body is not None else []))
        raise Problem("NOT_FOUND", f"the control API can't {method} {path}")

    def status(self):
        here = [v for v in self.volumes.items() if v[1].owner == self.node]
        return {
            "node": self.node,
            "volumes": [
                {"name": name, "state": v.state, "size": v.size, "allocated": len(v.content)} for name, v in here
            ],
        }

    def capacity(self):
        return {"total": self.total, "free": self.free}

    def create(self, request):
        name = request["name"]
        if name in self.volumes:
            raise Problem("NAME_TAKEN", f"a volume named {name} is already here")
        self.volumes[name] = Volume(request["size"], self.node)

    def location(self, name):
        volume = self.find(name)
        return {
            "name": name,
            "size": volume.size,
            "state": volume.state,
            "owner": volume.owner,
            "local": volume.owner == self.node,
            "clients": volume.clients,
            "allocated": len(volume.content),
            "content": f"1@{volume.owner}/{volume.writes}",
        }

    def extend(self, name, request):
        volume = self.find(name)
        if volume.state != "SERVING":
            raise Problem("REFUSED", f"volume {name} is still copied from node-c; try again when it is complete")
        volume.size = request["size"]

    def delete(self, name):
        if self.find(name).clients:
            raise Problem("IN_USE", f"volume {name} is open (qemu[7]); shut that down, then delete it")
        del self.volumes[name]

    def attach(self, request):
        uuid.UUID(request["domain"])
        for name in request["volumes"]:
            self.find(name)
        self.standbys[request["domain"]] = request["volumes"]

    def drop(self, purpose):
        self.standbys.pop(purpose, None)

    def readiness(self, name):
        if name in self.not_servable:
            raise Problem("NO_SPACE", self.not_servable[name])
        self.find(name)


ROUTES = [
    (r"GET /v1/status", FakeRelay.status),
    (r"GET /v1/capacity", FakeRelay.capacity),
    (r"POST /v1/volumes", FakeRelay.create),
    (r"GET /v1/volumes/([^/]+)/location", FakeRelay.location),
    (r"PUT /v1/volumes/([^/]+)/size", FakeRelay.extend),
    (r"DELETE /v1/volumes/([^/]+)/everywhere", FakeRelay.delete),
    (r"POST /v1/standbys", FakeRelay.attach),
    (r"DELETE /v1/standbys/([^/]+)", FakeRelay.drop),
    (r"GET /v1/volumes/([^/]+)/readiness", FakeRelay.readiness),
]


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that has gone is part of the tests; whatever else is wrong shows as an answer that is missing."""


class _Handler(BaseHTTPRequestHandler):
    relay = None

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        call = f"{self.command} {self.path}"
        self.relay.calls.append(call)
        fault = self.relay.fault(call)
        if fault:
            fault(self)
            return
        try:
            result = self.relay.handle(self.command, self.path, body)
        except Problem as e:
            self.problem(e)
            return
        self.answer(204 if result is None else 200, b"" if result is None else json.dumps(result).encode())

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def problem(self, problem):
        text = json.dumps({"code": problem.code, "message": str(problem)})
        self.answer(STATUS.get(problem.code, 409), text.encode())

    def answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass
