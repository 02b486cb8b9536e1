"""People who change the configuration while it happens, each through whichever control plane answers."""
import threading
import time

import grpc

from lib.admin import Admin

from .cluster import BACKEND_PORTS
from .reader import HOST

GROUP = "groups/chaos"
DEADLINE = 3  # seconds, of a call
ANSWERS_IN = 60  # seconds, with nothing wrong
UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED,
           grpc.StatusCode.UNKNOWN, grpc.StatusCode.ABORTED)


class Planes:
    """A client of all control planes: the next one when one fails."""

    def __init__(self, cluster, stubs):
        authority, own = cluster.authority.ca.read_bytes(), cluster.admin_certificate
        secure = grpc.ssl_channel_credentials(authority, own.key.read_bytes(), own.cert.read_bytes())
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 1000),
                   ("grpc.initial_reconnect_backoff_ms", 200), ("grpc.keepalive_time_ms", 2000),
                   ("grpc.keepalive_timeout_ms", 2000)]
        self.admins = [Admin(stubs, grpc.secure_channel(f"{machine.address}:9440", secure, options))
                       for machine in cluster.controlplane_machines]
        self.turn = 0

    def call(self, name, /, **fields):
        request, call = self.admins[self.turn % len(self.admins)].method(name)
        try:
            # Waiting: calls that fail at once give gRPC for python no time to connect.
            return call(request(**fields), timeout=DEADLINE, wait_for_ready=True)
        except grpc.RpcError as error:
            self.turn += 1
            if error.code() not in UNKNOWN:
                raise
            raise Unanswered(f"{name}: {error.code().name} {error.details()}") from None

    def insist(self, name, /, **fields):
        """Until it has been done, by this call or one before it."""
        deadline = time.monotonic() + ANSWERS_IN
        while True:
            try:
                return self.call(name, **fields)
            except Unanswered as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"{ANSWERS_IN} s without an answer: {error}") from None
                time.sleep(0.1)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                    raise
                return None

    def close(self):
        for admin in self.admins:
            admin.close()


class Unanswered(Exception):
    """It may have happened, or may happen yet, or not."""


def api(key, version):
    return {"name": f"{GROUP}/apis/{key}", "frontend": {"protocol": "PROTOCOL_HTTP", "method": "HTTP_METHOD_GET", "path": f"/{key}"},
            "backend": {"mock": {"body": str(version).encode()}}, "authentication": {"type": "AUTH_TYPE_NONE"}}


def pair(number):
    """What /pair is made of: a policy and a channel that say the same."""
    port = BACKEND_PORTS[number % 2]
    return [
        {"policy": {"name": "policies/pair", "response_headers": {"headers": [
            {"name": "X-Pair", "value": str(port), "action": "HEADER_ACTION_TYPE_OVERRIDE"}]}}},
        {"channel": {"name": "channels/pair", "port": port, "members": [{"host": "127.0.0.1", "weight": 1}]}},
    ]


def set_up(planes, keys):
    planes.insist("CreateApiGroup", group_id="chaos")
    planes.insist("CreateDomain", parent=GROUP, domain_id=HOST)
    planes.insist("Apply", resources=pair(0))
    planes.insist("CreateApi", parent=GROUP, api_id="pair", api={
        "frontend": {"protocol": "PROTOCOL_HTTP", "method": "HTTP_METHOD_GET", "path": "/pair"}, "backend": {"http": {"channel": "channels/pair"}},
        "authentication": {"type": "AUTH_TYPE_NONE"}})
    planes.insist("CreatePolicyBinding", parent="policies/pair", binding_id="chaos.pair.RELEASE", binding={
        "api": f"{GROUP}/apis/pair", "environment": "environments/RELEASE"})
    planes.insist("PublishApi", name=f"{GROUP}/apis/pair")
    for key in keys:
        planes.insist("CreateApi", parent=GROUP, api_id=key, api=api(key, 0))
        planes.insist("PublishApi", name=f"{GROUP}/apis/{key}")


class Publisher(threading.Thread):
    """Publishes one key after the other, each in ever higher versions. No one else does: an etag that is not current is
    that of an own write whose answer was lost."""

    def __init__(self, planes, keys, stopping, say, pause):
        super().__init__(daemon=True)
        self.planes, self.stopping, self.say, self.pause = planes, stopping, say, pause
        self.versions = dict.fromkeys(keys, 0)

    def run(self):
        while not self.stopping.is_set():
            for key in self.versions:
                self.publish(key)
                self.stopping.wait(self.pause)

    def publish(self, key):
        self.versions[key] += 1
        version, began, outcome, text = self.versions[key], time.monotonic(), "ok", ""
        try:
            name = f"{GROUP}/apis/{key}"
            etag = self.planes.call("GetApi", name=name).etag
            self.planes.call("UpdateApi", api=dict(api(key, version), etag=etag))
            self.planes.call("PublishApi", name=name)
        except Unanswered as error:
            outcome, text = "unknown", str(error)
        self.say("publish", key=key, version=version, t=began, end=time.monotonic(), outcome=outcome, text=text)


class Pairs(threading.Thread):
    """Changes policy and channel together, again and again."""

    def __init__(self, planes, stopping, pause):
        super().__init__(daemon=True)
        self.planes, self.stopping, self.pause, self.applied = planes, stopping, pause, 0

    def run(self):
        number = 0
        while not self.stopping.wait(self.pause):
            number += 1
            try:
                self.planes.call("Apply", resources=pair(number))
                self.applied += 1
            except Unanswered:
                pass
