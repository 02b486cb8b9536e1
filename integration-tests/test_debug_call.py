"""Requests that an agent makes to itself, told by a feeder: what a worker answers, and what becomes of what goes wrong."""
import json
import threading

import pytest

from lib import http1
from lib.script import Script
from lib.servers import Agent
from lib.wait import until

HOST = "g.example.com"
LIMIT = 2 * 1024 * 1024
GROUP = {"group": {"name": "groups/g", "domains": [HOST]}}


def route(port, **changes):
    return {"route": {"name": "groups/g/apis/a@:debug", "group": "groups/g", "environment": ":debug", "api": "groups/g/apis/a",
                      "api_name": "a", "method": "ANY", "path": "/", "prefix": True, "http": True, "https": True, "auth": {},
                      "backend": {"http": {"host": "127.0.0.1", "port": port, "timeout_ms": 5000}}, **changes}}


def request(path="/", method="GET", fields="", body=b"", stage=":debug"):
    return (f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nX-Stage: {stage}\r\n{fields}\r\n").encode() + body


@pytest.fixture
def agent(tmp_path, feeder, start):
    feeder.prepare(GROUP)
    return start(Agent(tmp_path, feeder))


@pytest.fixture
def script():
    opened = Script()
    yield opened
    opened.stop()


def fields_of(reply):
    return dict(line.split(": ", 1) for line in reply.fields.decode().splitlines())


def test_it_is_answered_by_what_came_along_and_nobody_else_sees_that(agent, feeder, echo):
    reply = feeder.ask(request("/x?y=1", "POST", "Content-Length: 3\r\nX-Apig-Mode: debug\r\n", b"abc"), GROUP, route(echo.port))
    seen = json.loads(reply.body)
    assert (reply.status, reply.failure, reply.truncated) == (200, "", False)
    assert (seen["path"], seen["method"], seen["body"]) == ("/x?y=1", "POST", "abc")
    assert seen["headers"]["X-Forwarded-For"] == "127.0.0.1" and seen["headers"]["X-Forwarded-Proto"] == "http"
    fields = fields_of(reply)
    assert fields["X-Backend"] == "echo" and "X-Apig-Upstream-Latency" in fields and "Connection" not in fields
    assert 0 < reply.head_us <= reply.latency_us
    assert http1.request(agent.port, "/x", HOST).status == 404  # callers have no such API
    line = json.loads(until(lambda: agent.access_log.read_text().splitlines(), "a line of the log")[0])
    assert line["status"] == 200 and line["source"] == "127.0.0.1"


def test_without_resources_it_is_answered_as_everybody_is(agent, feeder, echo):
    assert feeder.ask(request(stage="RELEASE")).status == 404
    feeder.tell(GROUP, route(echo.port, http=False, name="groups/g/apis/a@RELEASE", environment="RELEASE"))
    refused = feeder.ask(request(stage="RELEASE"))
    assert refused.status == 400 and json.loads(refused.body)["error_code"] == "APIG.0607"
    assert json.loads(feeder.ask(request(stage="RELEASE"), https=True).body)["headers"]["X-Forwarded-Proto"] == "https"


def test_what_cannot_be_compiled_is_said(agent, feeder, echo):
    reply = feeder.ask(request(), GROUP, route(echo.port, backend={"http": {"channel": "channels/none", "timeout_ms": 5000}}))
    assert reply.status == 0 and "groups/g/apis/a@:debug" in reply.failure and "channels/none" in reply.failure


@pytest.mark.parametrize("size,truncated", [(LIMIT, False), (LIMIT + 1, True), (5 * LIMIT, True)])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_long_answers_are_cut_at_the_limit(agent, feeder, script, size, truncated, is_chunked):
    body, head = b"ab" * (size // 2) + b"c" * (size % 2), b"HTTP/1.1 200 OK\r\n"
    if is_chunked:
        script.answer = lambda connection, *_: connection.sendall(
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body))
    else:
        script.answer = lambda connection, *_: connection.sendall(head + b"Content-Length: %d\r\n\r\n" % size + body)
    reply = feeder.ask(request(), GROUP, route(script.port))
    assert (reply.status, reply.truncated, len(reply.body)) == (200, truncated, min(size, LIMIT))
    assert reply.body == body[:LIMIT] and not reply.failure


def test_a_head_alone_interim_answers_and_a_body_that_is_cut(agent, feeder, script):
    script.answer = lambda connection, *_: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    reply = feeder.ask(request(method="HEAD"), GROUP, route(script.port))
    assert (reply.status, reply.body, reply.failure) == (200, b"", "") and fields_of(reply)["Content-Length"] == "5"
    script.answer = lambda connection, *_: connection.sendall(
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")
    reply = feeder.ask(request(), GROUP, route(script.port))
    assert (reply.status, reply.body) == (201, b"ok")

    def cut(connection, *_):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        connection.close()
    script.answer = cut
    reply = feeder.ask(request(), GROUP, route(script.port))
    assert (reply.status, reply.body) == (200, b"ab") and "cut off" in reply.failure


def test_who_never_answers_is_given_up_and_so_is_one_call_too_many(agent, feeder, script):
    release = threading.Event()
    script.answer = lambda connection, *_: release.wait(30) and False
    asked = [threading.Thread(target=feeder.ask, args=(request(), GROUP, route(script.port)), kwargs={"number": number})
             for number in range(101, 105)]
    for thread in asked:
        thread.start()
    until(lambda: script.connections == 4, "four calls to be under way")
    assert "4 debug calls" in feeder.ask(request(), GROUP, route(script.port), number=200).failure
    release.set()
    for thread in asked:
        thread.join(30)
    assert [feeder.replies[number].status for number in range(101, 105)] == [502] * 4
    release.clear()
    assert "within the time" in feeder.ask(request(), GROUP, route(script.port), timeout_ms=300, number=201).failure
    release.set()


def test_a_drain_and_a_crash_of_the_control_plane_leave_nothing_behind(agent, feeder, script):
    release = threading.Event()
    script.answer = lambda connection, *_: release.wait(30) and False
    feeder.streams[-1].put(feeder.pb.ControlMessage(debug_call=feeder.pb.DebugCall(
        id=1, request=request(), timeout_ms=60000,
        resources=[feeder.pb.Resource(**resource) for resource in (GROUP, route(script.port))])))
    until(lambda: script.connections == 1, "the call to be under way")
    feeder.stop()
    release.set()
    assert agent.stop() == 0
