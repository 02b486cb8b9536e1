"""The gateway's settings: each changes what agents do while callers go on, without one failed request, and goes back."""
import gzip
import time

import pytest

from lib.gateway import Gateway
from lib.http1 import Connection
from lib.http2 import PREFACE, Session
from lib.script import Script
from lib.servers import Agent
from lib.upgrade import Callers

grpc = pytest.importorskip("grpc")

MIB = 1024 * 1024


@pytest.fixture
def gateway(start, tmp_path, controlplane, echo):
    """With callers of /load, none of whom may fail."""
    made = Gateway(controlplane, start(Agent(tmp_path, controlplane, extra=["--body-timeout", "10m"])), echo)
    made.group("g")
    made.publish(made.api("g/load", "/load", backend={"mock": {}}))
    made.publish(made.api("g/a", "/a", method="ANY", match="PREFIX"))
    callers = Callers(made, path="/load")
    yield made
    callers.end()


def change(gateway, **fields):
    gateway.controlplane.apply({"kind": "Settings", "name": "settings", **fields})
    gateway.settle()


def reset(gateway, field):
    change(gateway, **{field: None})


def test_largest_body(gateway):
    body = b"x" * (MIB + 1)
    assert gateway.call("/a", method="POST", body=body).status == 200
    change(gateway, requestBodyMaxBytes=MIB)
    assert (gateway.call("/a", method="POST", body=body).status, gateway.call("/a", method="POST", body=b"x").status) == (413, 200)
    reset(gateway, "requestBodyMaxBytes")
    assert gateway.call("/a", method="POST", body=body).status == 200


def test_patience_with_a_body(gateway):
    """The agent's flag says ten minutes."""
    change(gateway, requestBodyTimeout="1s")
    with Connection(gateway.agent.port, timeout=60) as connection:
        connection.send(f"POST /a HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Length: 9\r\n\r\nx")
        assert connection.read("POST").status == 408


def test_patience_with_backends(gateway):
    silent = Script()
    silent.answer = lambda connection, *_: connection.recv(1)  # until the gateway gives up
    gateway.publish(gateway.api("g/slow", "/slow", backend={"http": {"address": silent.address, "timeout": "60s", "retryCount": 0}}))
    change(gateway, backendTimeoutMax="0.2s")
    begin = time.monotonic()
    assert gateway.call("/slow").status == 504 and time.monotonic() - begin < 50
    assert gateway.call("/a").status == 200
    silent.stop()


def test_where_the_caller_is_from(gateway):
    gateway.bind("permit", "g/a", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["192.0.2.7"]})

    def status(*addresses):
        return gateway.call("/a", headers=[("X-Forwarded-For", address) for address in addresses]).status

    assert status("192.0.2.7") == 403
    change(gateway, forwardedFor={"enabled": True, "index": -1})
    assert (status("192.0.2.7"), status("192.0.2.7, 192.0.2.8"), status("192.0.2.8, 192.0.2.7")) == (200, 403, 200)
    change(gateway, forwardedFor={"enabled": True, "index": 0})
    assert (status("192.0.2.7, 192.0.2.8"), status("192.0.2.8, 192.0.2.7")) == (200, 403)
    gateway.bind("permit", "g/a", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["127.0.0.1"]})
    assert status() == 200
    change(gateway, forwardedFor={"enabled": True, "index": 0, "strict": True})
    assert status() == 403
    reset(gateway, "forwardedFor")
    assert status() == 200


def test_compression(gateway):
    gateway.backend.reply = lambda request: (200, [("Content-Type", "text/plain")], b"word " * 5000)

    def get():
        return gateway.call("/a", headers=[("Accept-Encoding", "gzip")])

    assert get().header("Content-Encoding") is None
    sizes = []
    for level in (1, 9):
        change(gateway, gzip={"enabled": True, "level": level})
        answer = get()
        assert answer.header("Content-Encoding") == "gzip" and gzip.decompress(answer.body) == b"word " * 5000
        sizes.append(len(answer.body))
    assert sizes[1] < sizes[0]
    change(gateway, gzip={"enabled": False})
    assert get().header("Content-Encoding") is None


def test_who_gets_debug_headers(gateway):
    gateway.publish(gateway.api("g/mine", "/mine", auth={"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True}, backend={"mock": {}}))
    code = "A" + "b" * 70
    gateway.controlplane.apply({"kind": "App", "name": "apps/one"}, {"kind": "AppCode", "name": "apps/one/codes/c", "code": code},
                               {"kind": "Authorization", "name": "apps/one/authorizations/mine", "api": "groups/g/apis/mine",
                                "environment": "environments/RELEASE"})
    gateway.settle()

    def sees():
        """A stranger, an app."""
        answers = [gateway.call("/a", headers=[("X-Apig-Mode", "debug")]),
                   gateway.call("/mine", headers=[("X-Apig-Mode", "debug"), ("X-Apig-AppCode", code)])]
        assert [answer.status for answer in answers] == [200, 200]
        return [answer.header("X-Apig-Latency") is not None for answer in answers]

    assert sees() == [False, True]
    for audience, expected in (("EVERYBODY", [True, True]), ("NOBODY", [False, False]), ("APPS", [False, True])):
        change(gateway, debugAudience=f"DEBUG_AUDIENCE_{audience}")
        assert sees() == expected


def test_escaped_slashes(gateway):
    gateway.publish(gateway.api("g/file", "/file/{name}"))
    assert gateway.call("/file/a%2Fb").status == 404
    change(gateway, escapedSlash="ESCAPED_SLASH_KEPT")
    answer = gateway.call("/file/a%2Fb%25")
    assert answer.status == 200 and answer.json()["path"] == "/file/a%2Fb%25"
    assert gateway.call("/file/a%2F..%2Fb").status == 400
    change(gateway, escapedSlash="ESCAPED_SLASH_SEPARATES")
    assert gateway.call("/file/a%2Fb").status == 404


def test_http2(gateway):
    with Session(gateway.agent.port, gateway.host) as before:
        assert before.status(before.request(path="/load")) == "200"
        change(gateway, http2={"enabled": False})
        assert before.status(before.request(path="/load")) == "200"  # who speaks it already goes on
        with Connection(gateway.agent.port) as connection:
            assert connection.send(PREFACE).read().status == 505
    reset(gateway, "http2")
    with Session(gateway.agent.port, gateway.host) as after:
        assert after.status(after.request(path="/load")) == "200"


def test_an_agent_keeps_them_without_a_control_plane(start, tmp_path, controlplane, echo):
    gateway = Gateway(controlplane, start(Agent(tmp_path, controlplane)), echo)
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/a", method="ANY"))
    change(gateway, requestBodyMaxBytes=MIB)
    assert controlplane.stop() == 0 and gateway.agent.stop() == 0
    gateway.agent.start()
    assert gateway.call("/a", method="POST", body=b"x" * (MIB + 1)).status == 413


def test_foreign_clients(admin):
    assert admin.GetSettings().name == "settings"
    etag = admin.UpdateSettings(settings={"backend_timeout_max": {"seconds": 5}}).etag
    assert admin.GetSettings(name="settings").backend_timeout_max.seconds == 5
    stale = admin.refused("UpdateSettings", settings={"backend_timeout_max": {"seconds": 6}, "etag": '"1"'})
    assert (stale.code, stale.reason) == ("ABORTED", "ETAG_MISMATCH")
    wrong = admin.refused("UpdateSettings", settings={"request_body_max_bytes": 1, "gzip": {"level": 10}, "debug_audience": 9})
    assert wrong.fields.keys() == {"request_body_max_bytes", "gzip.level", "debug_audience"}
    for later in ({"default_api_limit": 100}, {"denied_backend_networks": ["10.0.0.0/8"]}):
        refused = admin.refused("UpdateSettings", settings=later)
        assert refused.code == "UNIMPLEMENTED" and next(iter(later)) in refused.message
    assert admin.GetSettings().etag == etag
