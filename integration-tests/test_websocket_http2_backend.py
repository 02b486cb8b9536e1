"""WebSocket to backends that speak HTTP/2 (RFC 8441), from callers of HTTP/1.1 and of HTTP/2."""
import asyncio
import json
import signal
import socket
import threading

import pytest

from lib.gateway import Gateway
from lib.http1 import Connection
from lib.http2 import CANCEL, DATA, ENABLE_CONNECT_PROTOCOL, END_STREAM, GOAWAY, NO_ERROR, RST_STREAM, Session, frame
from lib.http2_script import Http2Script
from lib.node import NodeServer, node
from lib.process import PATIENCE
from lib.proxies import HaproxyProxy
from lib.servers import Agent
from lib.upgrade import ReplaceableAgent
from lib.wait import until
from lib.websocket import ACCEPT, KEY, Client, ask, connect, open_now, publish, switch

HOST = "g.example.com"
HTTP2 = {"protocol": "BACKEND_PROTOCOL_HTTP2"}
ECHOES = [["text", False], ["\0\1\xfe\xff", True], ["fragmented", False], ["", False], True]
KINDS = pytest.mark.parametrize("kind", ["HTTP/1.1", "HTTP/2"])


def lines(gateway):
    return [json.loads(line) for line in gateway.agent.access_log.read_text().splitlines()]


def line_of(gateway, status=None):
    """The first one, or the first with that status."""
    return until(lambda: [line for line in lines(gateway) if status in (None, line["status"])], "the line")[0]


def counts(gateway, series, value):
    until(lambda: gateway.agent.metric(series) == value, f"{series} to be {value}")


def serve(start, folder, **options):
    return start(NodeServer(folder, "websocket_http2_server.js", json.dumps(options)))


class Caller:
    """The caller's end of a tunnel, whatever it speaks."""

    def __init__(self, kind, port, path="/"):
        self.by_http2 = kind == "HTTP/2"
        if self.by_http2:
            self.session = Session(port, HOST, timeout=20)
            self.stream = self.session.connect(path)
            assert self.session.status(self.stream) == "200"
        else:
            self.connection = switch(port, HOST, path)
            self.connection.socket.settimeout(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        (self.session if self.by_http2 else self.connection).close()

    def send(self, data):
        if self.by_http2:
            self.session.pour(self.stream, data)
        else:
            self.connection.send(data)
        return self

    def end(self):
        if self.by_http2:
            self.session.data(self.stream, end=True)
        else:
            self.connection.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        if self.by_http2:
            self.session.reset(self.stream)
        else:
            self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()

    def read(self, size=None):
        """So many bytes, or all to the end."""
        if self.by_http2:
            return self.session.take(self.stream, size or 1 << 40)
        return self.connection.file.read(size)


@pytest.fixture
def agent(start, tmp_path, controlplane):
    """With one worker: with one session to a backend."""
    return start(Agent(tmp_path, controlplane, extra=("--workers", "1")))


@pytest.fixture
def backend():
    script = Http2Script([(ENABLE_CONNECT_PROTOCOL, 1)])
    yield script
    script.stop()


@pytest.fixture
def raw(gateway, backend):
    return publish(gateway, backend, **HTTP2)


def accept(peer):
    """Opens the tunnel that is asked for next; its stream."""
    asked = peer.request()
    peer.head(asked.stream, (":status", "200"))
    return asked.stream


# ---- a foreign backend

@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_node_client_and_a_node_server(gateway, start, tmp_path, scheme):
    publish(gateway, serve(start, tmp_path), **HTTP2)
    got = node("websocket_client.js", f"{scheme}://127.0.0.1:{gateway.agent.port}/", HOST)
    assert got["echoes"] == ECHOES and got["close"] == [4321, "bye"]
    assert got["protocol"] == "chat" and got["pong"] == "are you there"
    line = line_of(gateway)
    assert line["status"] == (101 if scheme == "ws" else 200) and line["method"] == "GET" and "reason" not in line
    counts(gateway, "penstock_agent_upstream_http2_streams_total", 1)
    assert open_now(gateway) == 0


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_proxy_of_http2_before_a_python_server(gateway, start, echo_server, tmp_path, scheme):
    publish(gateway, start(HaproxyProxy(tmp_path, echo_server, "proto h2", 20000)), **HTTP2)
    got = node("websocket_client.js", f"{scheme}://127.0.0.1:{gateway.agent.port}/", HOST)
    assert got["echoes"] == ECHOES and got["close"] == [4321, "bye"]
    assert got.get("extensions", "permessage-deflate") == "permessage-deflate"
    assert "reason" not in line_of(gateway)


def secure(start, controlplane, echo, certificates, tmp_path, **options):
    own = certificates.issue("server")
    server = serve(start, tmp_path, cert=str(own.cert), key=str(own.key), **options)
    agent = start(Agent(tmp_path, controlplane, extra=("--workers", "1", "--upstream-ca-file", certificates.ca)))
    return publish(Gateway(controlplane, agent, echo), server, scheme="BACKEND_SCHEME_HTTPS", **HTTP2)


@pytest.mark.parametrize("takes_connect", [True, False], ids=["by CONNECT", "by upgrade instead"])
@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_backend_over_tls(start, controlplane, echo, certificates, tmp_path, scheme, takes_connect):
    gateway = secure(start, controlplane, echo, certificates, tmp_path, connect=takes_connect, http1=True)
    assert gateway.call("/").body == b"GET over HTTP/2"
    got = node("websocket_client.js", f"{scheme}://127.0.0.1:{gateway.agent.port}/", HOST)
    assert got["echoes"] == ECHOES and got["close"] == [4321, "bye"]
    assert gateway.call("/").body == b"GET over HTTP/2"
    counts(gateway, "penstock_agent_upstream_http2_streams_total", 3 if takes_connect else 2)
    counts(gateway, "penstock_agent_upstream_connects_total", 1 if takes_connect else 2)
    counts(gateway, "penstock_agent_tunnels", 0)


def test_a_backend_over_tls_that_can_do_neither(start, controlplane, echo, certificates, tmp_path):
    gateway = secure(start, controlplane, echo, certificates, tmp_path, connect=False)
    with Connection(gateway.agent.port) as connection:
        answer = connection.send(ask(HOST)).read()
    assert (answer.status, answer.code) == (502, "APIG.0202") and line_of(gateway)["reason"] == "upstream.websocket"
    assert "a backend takes no WebSocket over HTTP/2" in gateway.agent.log.read_text()


def test_another_backend_over_tls_may_do_what_one_cannot(start, controlplane, echo, certificates, tmp_path):
    """The second is asked by CONNECT as the first was, though the first was asked by HTTP/1.1 last."""
    own = certificates.issue("server")
    servers = []
    for name, takes_connect in (("old", False), ("new", True)):
        (tmp_path / name).mkdir()
        servers.append(serve(start, tmp_path / name, cert=str(own.cert), key=str(own.key), connect=takes_connect))
    agent = start(Agent(tmp_path, controlplane, extra=("--workers", "1", "--upstream-ca-file", certificates.ca)))
    controlplane.apply({"kind": "Channel", "name": "channels/both", "port": 443, "members": [
        {"host": "127.0.0.1", "port": server.port, "weight": 1} for server in servers]})
    gateway = Gateway(controlplane, agent, echo)
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", match="PREFIX", backend={"http": {
        "channel": "channels/both", "scheme": "BACKEND_SCHEME_HTTPS", **HTTP2}}))
    for _ in range(4):  # each is the first in turn
        switch(agent.port, HOST).close()


# ---- the handshake

@KINDS
def test_the_backend_is_asked_by_connect(raw, backend, kind):
    asked = []

    def talk(peer):
        head = peer.request()
        asked.append(head.fields)
        peer.head(head.stream, (":status", "200"), ("sec-websocket-protocol", "chat")).hold(head.stream).request()
    backend.talk = talk
    if kind == "HTTP/2":
        with Session(raw.agent.port, HOST) as session:
            stream = session.connect("/chat?x=1", ("sec-websocket-protocol", "chat"), ("sec-websocket-extensions", "a; b=1"))
            head = session.read_past(4, 8).fields
            assert head[":status"] == "200" and stream == 1
        answer = {name.lower(): value for name, value in head.items()}
    else:
        with Connection(raw.agent.port) as connection:
            got = connection.send(ask(HOST, "/chat?x=1", "Sec-WebSocket-Protocol: chat",
                                      "Sec-WebSocket-Extensions: a; b=1")).read()
        assert got.status == 101 and got.header("Upgrade") == "websocket" and got.header("Connection") == "Upgrade"
        assert got.header("Sec-WebSocket-Accept") == ACCEPT and got.header("Content-Length") is None
        answer = {name.lower(): value for name, value in got.headers}
    assert answer["sec-websocket-protocol"] == "chat" and ("sec-websocket-accept" in answer) == (kind == "HTTP/1.1")
    head = asked[0]
    assert {name: head[name] for name in head if name[0] == ":"} == {
        ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":authority": backend.address, ":path": "/chat?x=1"}
    assert (head["sec-websocket-version"], head["sec-websocket-extensions"]) == ("13", "a; b=1")
    assert not {"sec-websocket-key", "sec-websocket-accept", "upgrade", "connection", "host", "content-length"} & set(head)


@pytest.mark.parametrize("key", ["", "Sec-WebSocket-Key: \r\n", f"Sec-WebSocket-Key: {KEY[1:]}\r\n",
                                 f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Key: {KEY}\r\n",
                                 f"Sec-WebSocket-Key: *{KEY[1:]}\r\n"], ids=["none", "empty", "short", "two", "no base64"])
def test_a_key_that_is_none_is_refused_by_who_proves_it(raw, backend, key):
    backend.talk = lambda peer: peer.hold(accept(peer)).request()
    handshake = ask(HOST).replace(f"Sec-WebSocket-Key: {KEY}\r\n", key)
    with Connection(raw.agent.port) as connection:
        answer = connection.send(handshake).read()
        assert (answer.status, answer.code) == (400, "APIG.0602")
        assert connection.send(ask(HOST)).read().status == 101  # the connection goes on
    assert line_of(raw, 400)["reason"] in ("http.websocket_key", "http.header_repeated")


@pytest.mark.parametrize("status", ["302", "401", "403", "426", "503"])
def test_a_refused_handshake_is_an_ordinary_answer(raw, backend, status):
    ends = []

    def talk(peer):
        while asked := peer.request():
            peer.answer(asked.stream, status, b"no")
            if asked.fields[":method"] == "CONNECT" and status != "503":  # that is tried again
                ends.append(peer.read_past(4, 6, 8).kind)
    backend.talk = talk
    with Connection(raw.agent.port) as connection, Session(raw.agent.port, HOST) as session:
        for _ in range(2):
            answer = connection.send(ask(HOST)).read()
            assert (answer.status, answer.body) == (int(status), b"no")
            answer = session.answer(session.connect())
            assert (answer.status, answer.body) == (int(status), b"no")
        assert session.answer(session.request()).status == int(status)
    assert ends == [DATA] * (0 if status == "503" else 4) and backend.connections == 1  # END_STREAM and no reset
    assert open_now(raw) == 0


@KINDS
def test_a_backend_in_the_clear_without_the_setting_is_a_bad_gateway(gateway, backend, kind):
    backend.settings, asked = (), []

    def talk(peer):
        while request := peer.request():
            asked.append(request.fields[":method"])
            peer.answer(request.stream)
    backend.talk = talk
    publish(gateway, backend, **HTTP2)
    with Connection(gateway.agent.port) as connection, Session(gateway.agent.port, HOST) as session:
        for _ in range(2):  # on the session that begins, and on the one that is there
            answer = session.answer(session.connect()) if kind == "HTTP/2" else connection.send(ask(HOST)).read()
            assert (answer.status, answer.code) == (502, "APIG.0202")
        assert session.answer(session.request()).body == b"ok"
    assert asked == ["GET"] and backend.connections == 1
    assert line_of(gateway, 502)["reason"] == "upstream.websocket"
    counts(gateway, 'penstock_agent_refusals_total{reason="upstream.websocket"}', 2)
    assert "a backend takes no WebSocket over HTTP/2 (RFC 8441)" in gateway.agent.log.read_text()


# ---- bytes

@KINDS
def test_the_caller_may_end_first_and_still_listen(raw, backend, kind):
    heard = []

    def talk(peer):
        stream = accept(peer)
        peer.data(stream, b"early")
        heard.append(peer.take(stream, 1 << 40))
        peer.data(stream, b"late").data(stream, end=True).request()
    backend.talk = talk
    with Caller(kind, raw.agent.port) as caller:
        assert caller.read(5) == b"early"
        caller.send(b"x" * 300000).end()
        assert caller.read() == b"late"
    assert heard == [b"x" * 300000]
    assert "reason" not in line_of(raw) and open_now(raw) == 0


@KINDS
def test_the_backend_may_end_first_and_still_listen(raw, backend, kind):
    heard = []

    def talk(peer):
        stream = accept(peer)
        peer.data(stream, b"bye", end=True)
        heard.append(peer.take(stream, 1 << 40))
        peer.request()
    backend.talk = talk
    with Caller(kind, raw.agent.port) as caller:
        assert caller.read() == b"bye"
        caller.send(b"x" * 60000).send(b"y").end()
        until(lambda: heard, "the backend to hear all")
        counts(raw, "penstock_agent_tunnels", 0)
    assert heard == [b"x" * 60000 + b"y"] and "reason" not in line_of(raw)


@KINDS
def test_a_reset_of_the_backend_ends_the_tunnel_and_no_other(raw, backend, kind):
    """Behind what was said; to callers of HTTP/2 as what it is."""
    def talk(peer):
        stream, other = accept(peer), accept(peer)
        peer.data(stream, b"half").reset(stream, NO_ERROR)
        peer.data(other, b"whole", end=True).request()
    backend.talk = talk
    with Caller(kind, raw.agent.port) as caller, Caller("HTTP/1.1", raw.agent.port) as other:
        assert caller.read(4) == b"half"
        if kind == "HTTP/2":
            assert caller.session.until(RST_STREAM, caller.stream).code == CANCEL
        else:
            assert caller.connection.is_closed()
        assert other.read() == b"whole"
    assert line_of(raw)["reason"] == "upstream.cut"


@KINDS
def test_a_reset_of_the_caller_is_passed_on(raw, backend, kind):
    codes = []

    def talk(peer):
        stream = accept(peer)
        codes.append(peer.until(RST_STREAM, stream).code)
        while asked := peer.request():
            peer.answer(asked.stream)
    backend.talk = talk
    with Caller(kind, raw.agent.port) as caller:
        caller.reset()
    until(lambda: codes == [CANCEL], "the backend to hear of it")
    assert raw.call("/").body == b"ok" and backend.connections == 1
    counts(raw, "penstock_agent_tunnels", 0)


@KINDS
def test_a_lost_session_ends_its_tunnels(raw, backend, kind):
    def talk(peer):
        stream = accept(peer)
        peer.data(stream, b"half").take(stream, 1)
    backend.talk = talk
    with Caller(kind, raw.agent.port) as caller:
        assert caller.read(4) == b"half"
        caller.send(b"x")
        assert caller.session.until(RST_STREAM) if kind == "HTTP/2" else caller.connection.is_closed()
    assert line_of(raw)["reason"] == "upstream.cut"


@KINDS
def test_a_caller_that_does_not_read_is_waited_for_in_little_memory(raw, backend, kind):
    sent, go_on = [], threading.Event()

    def talk(peer):
        stream = accept(peer)
        sent.append(peer.flood(stream))
        go_on.wait(20)
        peer.data(stream, end=True)
        go_on.clear()
        go_on.wait(20)
    backend.talk = talk
    before = raw.agent.metric("process_resident_memory_bytes")
    with Caller(kind, raw.agent.port) as caller:
        until(lambda: sent, "the backend to be held back")
        assert raw.agent.metric("process_resident_memory_bytes") - before < 4 << 20
        go_on.set()
        assert len(caller.read()) == sent[0]
        caller.end()
        counts(raw, "penstock_agent_tunnels", 0)
    go_on.set()


@KINDS
def test_a_backend_that_does_not_read_holds_its_caller_back(raw, backend, kind):
    ends = threading.Event()
    backend.talk = lambda peer: accept(peer) and ends.wait(20) and None
    before = raw.agent.metric("process_resident_memory_bytes")
    with Caller(kind, raw.agent.port) as caller:
        (caller.session if kind == "HTTP/2" else caller.connection).socket.settimeout(1)
        with pytest.raises(socket.timeout):
            while True:
                caller.send(b"x" * 65536)
        assert raw.agent.metric("process_resident_memory_bytes") - before < 4 << 20
    ends.set()


def test_large_messages_pass_both_ways(gateway, start, tmp_path):
    publish(gateway, serve(start, tmp_path), **HTTP2)

    async def talk():
        async with connect(gateway, subprotocols=["x", "chat"]) as client:
            assert client.subprotocol == "chat"
            for message in ("text", b"\0\1\xfe\xff", "", "x" * (8 << 20), b"y" * (16 << 20)):
                await client.send(message)
                assert await client.recv() == message
            for number in range(300):
                await client.send(str(number))
                assert await client.recv() == str(number)
    asyncio.run(asyncio.wait_for(talk(), 10 * PATIENCE))


# ---- life

def test_tunnels_and_requests_share_a_session(gateway, start, tmp_path):
    publish(gateway, serve(start, tmp_path), **HTTP2)
    clients = [Client(gateway) for _ in range(40)]
    assert [client.echo("on") for client in clients] == ["on"] * 40
    assert open_now(gateway) == 40 and gateway.call("/").body == b"GET over HTTP/2"
    counts(gateway, "penstock_agent_upstream_http2_streams_total", 41)
    assert gateway.agent.metric("penstock_agent_upstream_connects_total") == 1
    for client in clients:
        client.close()
    counts(gateway, "penstock_agent_tunnels", 0)


def test_a_session_that_goes_away_keeps_its_tunnels(raw, backend):
    def talk(peer):
        first = backend.connections == 1
        stream = accept(peer)
        if first:
            peer.send(frame(GOAWAY, 0, 0, stream.to_bytes(4, "big") + bytes(4)))
        while data := peer.take(stream, 1):
            peer.data(stream, data)
        peer.data(stream, end=True).request()
    backend.talk = talk
    with Caller("HTTP/2", raw.agent.port) as caller:
        until(lambda: raw.agent.metric("penstock_agent_upstream_http2_goaways_total") == 1, "the GOAWAY")
        with Caller("HTTP/1.1", raw.agent.port) as other:
            assert other.send(b"1").read(1) == b"1" and caller.send(b"2").read(1) == b"2"
            other.end()
            caller.end()
            assert other.read() == b"" and caller.session.until(DATA, caller.stream).flags & END_STREAM
    assert backend.connections == 2


@KINDS
def test_silence_ends_a_tunnel_and_not_its_session(start, controlplane, echo, backend, tmp_path, kind):
    agent = start(Agent(tmp_path, controlplane, extra=("--workers", "1", "--stream-idle-timeout", "800ms")))
    gateway = publish(Gateway(controlplane, agent, echo), backend, timeout="0.5s", **HTTP2)
    codes = []

    def talk(peer):
        codes.append(peer.until(RST_STREAM, accept(peer)).code)
        while asked := peer.request():
            peer.answer(asked.stream)
    backend.talk = talk
    with Caller(kind, agent.port) as caller:
        assert caller.read() == b""
        until(lambda: codes == [CANCEL], "the backend to hear of it")
    assert line_of(gateway)["reason"] == "tunnel.idle" and line_of(gateway)["duration_ms"] >= 800
    assert gateway.call("/").body == b"ok" and backend.connections == 1
    until(lambda: agent.metric("penstock_agent_stream_timeouts_total") == 1, "the count")


@KINDS
def test_a_drain_waits_for_a_tunnel_and_cuts_it_at_the_end(start, controlplane, echo, backend, tmp_path, kind):
    agent = start(Agent(tmp_path, controlplane, extra=("--drain-timeout", "2s")))
    gateway, codes = publish(Gateway(controlplane, agent, echo), backend, **HTTP2), []

    def talk(peer):
        stream = accept(peer)
        peer.data(stream, peer.take(stream, 5))
        codes.append(peer.read_past(4, 6, 7, 8))
    backend.talk = talk
    with Caller(kind, agent.port) as caller:
        agent.signal(15)
        until(lambda: "draining" in agent.tail(), "the drain to begin")
        assert caller.send(b"still").read(5) == b"still"
        assert agent.popen.wait(20) == 0 and line_of(gateway)["reason"] == "drain.timeout"
    until(lambda: codes, "the backend to hear of it")
    assert codes[0] is None or codes[0].kind == RST_STREAM


def test_a_drain_ends_with_the_last_tunnel(gateway, start, tmp_path):
    publish(gateway, serve(start, tmp_path), **HTTP2)
    client = Client(gateway)
    gateway.agent.signal(15)
    until(lambda: "draining" in gateway.agent.tail(), "the drain to begin")
    assert client.echo("still here") == "still here"
    client.close()
    assert gateway.agent.popen.wait(20) == 0  # the timeout is 30 s


def test_an_upgrade_leaves_a_tunnel_to_the_old_process(start, controlplane, echo, tmp_path):
    agent = start(ReplaceableAgent(tmp_path, controlplane))
    gateway = publish(Gateway(controlplane, agent, echo), serve(start, tmp_path), **HTTP2)
    client, old = Client(gateway), agent.pid
    agent.signal(signal.SIGUSR2)
    agent.says("the new process serves")
    assert client.echo("still here") == "still here" and agent.exit_status(old) is None
    client.close()
    assert agent.wait_end(old) == 0
