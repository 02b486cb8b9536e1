"""WebSocket from callers of HTTP/2 (RFC 8441): a stream that becomes a tunnel."""
import json
import socket
import threading

import pytest

from lib.gateway import Gateway
from lib.http2 import CANCEL, DATA, ENABLE_CONNECT_PROTOCOL, END_STREAM, HEADERS, RST_STREAM, Session
from lib.node import node
from lib.servers import Agent
from lib.wait import until
from lib.websocket import ACCEPT, KEY, SWITCHED, accept_of, open_now, publish

HOST = "g.example.com"


@pytest.fixture
def raw(gateway, script):
    return publish(gateway, script)


@pytest.fixture
def session(raw):
    with Session(raw.agent.port, HOST) as opened:
        yield opened


def switch(connection, head, rest=b""):
    """What a server that has understood says, and `rest` behind it."""
    connection.sendall(SWITCHED.replace(ACCEPT.encode(), accept_of(head).encode()) + rest)


def test_a_node_client_by_connect(gateway, echo_server):
    publish(gateway, echo_server)
    got = node("websocket_client.js", f"http://127.0.0.1:{gateway.agent.port}/", HOST)
    assert got == {"enabled": True, "status": 200, "protocol": "chat", "pong": "are you there", "close": [4321, "bye"],
                   "echoes": [["text", False], ["\0\1\xfe\xff", True], ["fragmented", False], ["", False], True]}
    line = json.loads(until(lambda: gateway.agent.access_log.read_text().splitlines(), "the line")[0])
    assert (line["status"], line["protocol"], line["method"]) == (200, "HTTP/2", "GET")
    assert open_now(gateway) == 0


def test_the_backend_sees_a_handshake_of_http_1(raw, script, session):
    assert session.settings[ENABLE_CONNECT_PROTOCOL] == 1
    script.answer = lambda connection, head, rest: switch(connection, head, b"at once")
    stream = session.connect("/chat?x=1")
    head = session.until(HEADERS, stream).fields
    assert head[":status"] == "200" and not {"sec-websocket-accept", "upgrade", "connection"} & set(head)
    assert session.take(stream, 7) == b"at once"
    lines = script.heads[0].split("\r\n")
    assert lines[0] == "GET /chat?x=1 HTTP/1.1" and {"Connection: Upgrade", "Upgrade: websocket"} <= set(lines)
    assert KEY not in script.heads[0] and ":protocol" not in script.heads[0]


def test_bytes_flow_both_ways_and_either_side_ends_first(raw, script, session):
    def echo(connection, head, _rest):
        switch(connection, head)
        while data := connection.recv(65536):
            connection.sendall(data)
        connection.sendall(b"the end")
    script.answer = echo
    stream = session.connect()
    assert session.status(stream) == "200"
    session.data(stream, b"a" * 10000).data(stream, b"b" * 10000, end=True)
    assert session.take(stream, 20007) == b"a" * 10000 + b"b" * 10000 + b"the end"
    heard = []
    script.answer = lambda connection, head, rest: (switch(connection, head), connection.shutdown(socket.SHUT_WR),
                                                    heard.append(connection.recv(100)), heard.append(connection.recv(1)))[0]
    stream = session.connect()
    assert session.status(stream) == "200" and session.until(DATA, stream).flags & END_STREAM
    session.data(stream, b"still here", end=True)
    until(lambda: heard == [b"still here", b""], "the backend to hear it")
    until(lambda: open_now(raw) == 0, "the tunnels to end")


def test_a_backend_that_breaks_off_resets_the_stream(raw, script, session):
    """Behind what it said, and as what it was (RFC 8441 5)."""
    script.answer = lambda connection, head, rest: (switch(connection, head, b"half"), connection.recv(1), connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"))[0]
    stream = session.connect()
    assert session.status(stream) == "200" and session.take(stream, 4) == b"half"
    session.data(stream, b"x")
    assert session.until(RST_STREAM, stream).code == CANCEL
    line = json.loads(until(lambda: raw.agent.access_log.read_text().splitlines(), "the line")[0])
    assert (line["status"], line["reason"]) == (200, "upstream.cut")
    assert open_now(raw) == 0


def test_a_reset_ends_it_for_the_backend(raw, script, session):
    heard = threading.Event()
    script.answer = lambda connection, head, rest: (switch(connection, head), connection.recv(1), heard.set())[0]
    stream = session.connect()
    assert session.status(stream) == "200"
    session.reset(stream)
    assert heard.wait(20)
    until(lambda: open_now(raw) == 0, "the tunnel to end")


def test_who_does_not_read_holds_the_backend_back_and_no_other_stream(raw, script, session):
    full = threading.Event()

    def flood(connection, head, _rest):
        if b"/flood" not in head:
            return connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        switch(connection, head)
        connection.settimeout(1)
        try:
            while connection.send(b"z" * 65536):
                pass
        except socket.timeout:
            full.set()
    script.answer = flood
    before = raw.agent.metric("process_resident_memory_bytes")
    assert session.status(session.connect("/flood")) == "200"
    assert full.wait(20), "the backend is never held back"
    assert raw.agent.metric("process_resident_memory_bytes") - before < 4 << 20
    assert session.status(session.request()) == "204"


@pytest.mark.parametrize("said,answered", [
    (b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", 403),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502),  # the caller would take it for an open tunnel
    (SWITCHED, 502),  # an old answer, to another key
], ids=["refused", "a page", "another key"])
def test_what_is_no_tunnel_is_not_told_as_one(raw, script, session, said, answered):
    script.says(said)
    assert session.answer(session.connect()).status == answered
    script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert session.answer(session.request()).body == b"ok"


def test_silence_ends_a_tunnel_and_not_its_connection(start, controlplane, echo, script, tmp_path):
    agent = start(Agent(tmp_path, controlplane, extra=("--stream-idle-timeout", "800ms", "--body-timeout", "100ms",
                                                       "--write-timeout", "100ms")))
    publish(Gateway(controlplane, agent, echo), script, timeout="0.5s")
    heard = []
    script.answer = lambda connection, head, rest: (switch(connection, head), heard.append(connection.recv(1)))[0]
    with Session(agent.port, HOST) as session:
        stream = session.connect()
        assert session.status(stream) == "200" and session.until(DATA, stream).flags & END_STREAM
        until(lambda: heard == [b""], "the backend to hear of it")
        script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert session.answer(session.request()).body == b"ok"
    until(lambda: agent.metric("penstock_agent_stream_timeouts_total") == 1, "the count")


def test_other_protocols_and_mocks_are_refused(raw, session):
    assert session.answer(session.request("CONNECT", end=False, protocol="connect-udp")).status == 501
    raw.publish(raw.api("g/m", "/mock", backend={"mock": {"status": 200}}))
    assert session.answer(session.connect("/mock")).status == 502
