"""WebSocket through the agent (RFC 6455), with clients and servers that nobody here wrote."""
import asyncio
import socket
import threading
import time

import pytest
import websockets

from lib.gateway import Gateway
from lib.http1 import Connection
from lib.node import NodeServer, node
from lib.process import PATIENCE, free_port
from lib.servers import Agent
from lib.wait import until
from lib.websocket import SWITCHED, Client, EchoServer, ask, connect, ended, open_now, publish, switch

HOST = "g.example.com"


@pytest.fixture
def tunnels(gateway, echo_server):
    return publish(gateway, echo_server)


@pytest.fixture
def raw(gateway, script):
    return publish(gateway, script)


# ---- foreign peers

def test_a_node_client_and_a_python_server(tunnels):
    got = node("websocket_client.js", f"ws://127.0.0.1:{tunnels.agent.port}/", HOST)
    assert got == {"protocol": "chat", "extensions": "permessage-deflate", "pong": "are you there", "close": [4321, "bye"],
                   "echoes": [["text", False], ["\0\1\xfe\xff", True], ["fragmented", False], ["", False], True]}


def test_a_python_client_and_a_node_server(gateway, start, tmp_path):
    publish(gateway, start(NodeServer(tmp_path, "websocket_server.js")))

    async def talk():
        async with connect(gateway, subprotocols=["x", "chat"]) as client:
            assert client.subprotocol == "chat" and "PerMessageDeflate" in repr(client.extensions)
            for message in ("text", b"\0\1\xfe\xff", "", "x" * (2 << 20), b"y" * (3 << 20)):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["frag", "men", "ted"])
            assert await client.recv() == "fragmented"
            await asyncio.wait_for(await client.ping(), 10)
            await client.send("close 4321 bye")
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (4321, "bye")
    asyncio.run(talk())


def test_a_backend_over_tls(start, controlplane, echo, certificates, tmp_path):
    own = certificates.issue("server")
    server = EchoServer(own.cert, own.key)
    gateway = Gateway(controlplane, start(Agent(tmp_path, controlplane, extra=(
        "--upstream-ca-file", certificates.ca))), echo)
    publish(gateway, server, scheme="BACKEND_SCHEME_HTTPS")
    client = Client(gateway)
    assert client.echo("x" * 100000) == "x" * 100000
    client.close()
    server.stop()


@pytest.fixture
def front(start, controlplane, admin, echo, echo_server, certificates, tmp_path):
    """The agent also listens over TLS, at `tls_port`, with a certificate for the host."""
    own, agent = certificates.issue(HOST, f"DNS:{HOST}"), Agent(tmp_path, controlplane)
    agent.tls_port = free_port()
    agent.command[agent.command.index("--listen") + 1] += f", 127.0.0.1:{agent.tls_port} tls"
    gateway = Gateway(controlplane, start(agent), echo)
    gateway.group("g")
    admin.CreateCertificate(certificate_id="host", certificate={"certificate_pem": own.cert.read_text(),
                                                               "private_key_pem": own.key.read_text()})
    controlplane.apply({"kind": "Domain", "name": f"groups/g/domains/{HOST}", "certificates": ["certificates/host"]})
    gateway.publish(gateway.api("g/a", "/", match="PREFIX", protocol="HTTPS",
                                backend={"http": {"address": echo_server.address}}))
    gateway.settle()
    return gateway


@pytest.mark.parametrize("scheme", ["wss", "https"])
def test_a_node_client_over_tls(front, certificates, scheme):
    """By upgrade, and by CONNECT over HTTP/2 as browsers do it."""
    got = node("websocket_client.js", f"{scheme}://127.0.0.1:{front.agent.tls_port}/", HOST, ca=certificates.ca)
    assert got["echoes"][-1] is True and len(got["echoes"]) == 5 and got["close"] == [4321, "bye"]
    until(lambda: open_now(front) == 0, "the tunnel to end")


def test_many_small_messages_are_not_held_back(tunnels):
    async def talk():
        async with connect(tunnels, compression=None) as client:
            for number in range(300):
                await client.send(str(number))
                assert await client.recv() == str(number)
    asyncio.run(asyncio.wait_for(talk(), 5 * PATIENCE))  # 40 ms each, if anything waited for more


# ---- the handshake

def test_the_handshake_passes_as_it_is_and_the_answer_too(raw, script):
    script.answer = lambda connection, head, rest: connection.sendall(SWITCHED)
    with Connection(raw.agent.port) as connection:
        answer = connection.send(ask(HOST, "/", "Sec-WebSocket-Extensions: a; b=1", "Origin: http://o")).read()
    head = script.heads[0]
    assert answer.status == 101 and answer.header("Upgrade") == "websocket" and answer.header("Connection") == "Upgrade"
    assert "\r\nConnection: Upgrade\r\nUpgrade: websocket" in head and "Sec-WebSocket-Extensions: a; b=1" in head
    assert answer.header("X-Request-Id") in head and answer.header("Content-Length") is None


@pytest.mark.parametrize("status", [200, 401, 404, 426, 429, 503])
def test_a_refused_handshake_is_an_ordinary_answer(raw, script, status):
    script.says(f"HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno".encode(), keep=True)
    with Connection(raw.agent.port) as connection:
        for _ in range(2):  # and the connection goes on
            answer = connection.send(ask(HOST)).read()
            assert (answer.status, answer.body) == (status, b"no")


def test_a_request_behind_a_refused_handshake_is_a_request(raw, script):
    script.says(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", keep=True)
    with Connection(raw.agent.port) as connection:
        connection.send(ask(HOST) + f"GET /second HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        assert [connection.read().status for _ in range(2)] == [403, 403]
    assert [head.split("\r\n")[0] for head in script.heads] == ["GET / HTTP/1.1", "GET /second HTTP/1.1"]
    assert "upgrade" not in script.heads[1].lower()


UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize("request_text", [
    f"GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\n\r\n",
    f"GET / HTTP/1.0\r\nHost: {HOST}\r\n{UPGRADE}\r\n",
    f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}Content-Length: 2\r\n\r\nhi",
    f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    f"POST / HTTP/1.1\r\nHost: {HOST}\r\n{UPGRADE}\r\n",
    f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websockets\r\n\r\n",
], ids=["no Connection", "no Upgrade", "1.0", "length", "chunked", "POST", "another protocol"])
def test_what_is_no_handshake_is_an_ordinary_request(gateway, script, request_text):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="ANY", backend={"http": {"address": script.address}}))
    script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", keep=True)
    with Connection(gateway.agent.port) as connection:
        assert connection.send(request_text).read().body == b"ok"
    assert "upgrade" not in script.heads[0].lower()


def test_a_switch_that_nobody_asked_for_is_a_bad_gateway(raw, script):
    script.says(SWITCHED)
    with Connection(raw.agent.port) as connection:
        answer = connection.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").read()
        assert (answer.status, answer.code) == (502, "APIG.0202")
        script.says(SWITCHED.replace(b"websocket", b"something"))
        assert connection.send(ask(HOST)).read().status == 502


def test_policies_hold_for_handshakes(tunnels):
    tunnels.bind("two", "g/a", throttle={"unit": "TIME_UNIT_DAY", "apiLimit": "2"})
    clients = [Client(tunnels), Client(tunnels)]
    with Connection(tunnels.agent.port) as connection:
        assert connection.send(ask(HOST)).read().code == "APIG.0308"
    assert [client.echo("on") for client in clients] == ["on", "on"]
    for client in clients:
        client.close()


# ---- bytes

def test_bytes_behind_either_head_are_not_lost(raw, script):
    def answer(connection, _head, rest):
        connection.sendall(SWITCHED + b"late\0")
        while rest != b"early\0":
            rest += connection.recv(100)
    script.answer = answer
    with Connection(raw.agent.port) as connection:
        connection.send(ask(HOST) + "ear").send("ly\0")
        assert connection.read().status == 101
        assert connection.file.read() == b"late\0"


def test_each_side_ends_by_itself(raw, script):
    def answer(connection, _head, rest):
        connection.sendall(SWITCHED + b"bye")
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            rest += data
        heard.append(rest)
    script.answer, heard = answer, []
    with switch(raw.agent.port, HOST) as connection:
        assert connection.file.read() == b"bye"  # to the backend's FIN; then the caller still speaks
        connection.send(b"x" * 100000).socket.shutdown(socket.SHUT_WR)
        until(lambda: heard, "the backend to hear all")
    assert heard == [b"x" * 100000]
    until(lambda: open_now(raw) == 0, "the tunnel to end")


def test_a_caller_speaks_on_behind_the_backends_end_as_long_as_it_likes(start, controlplane, echo, script, tmp_path):
    """The time to read a request's body is none of a tunnel's."""
    def answer(connection, _head, _rest):
        connection.sendall(SWITCHED + b"bye")
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            heard.append(data)
        over.set()
    script.answer, heard, over = answer, [], threading.Event()
    agent = start(Agent(tmp_path, controlplane, extra=("--body-timeout", "300ms")))
    gateway = publish(Gateway(controlplane, agent, echo), script, timeout="20s")
    with switch(agent.port, HOST) as connection:
        assert connection.file.read() == b"bye"
        began, said = time.monotonic(), 0
        while time.monotonic() - began < 1.5:
            said += connection.socket.send(b"x" * 10)
            until(lambda: sum(map(len, heard)) == said, "the backend to hear it")
        connection.socket.shutdown(socket.SHUT_WR)
        until(over.is_set, "the backend to hear the end")
    until(lambda: ended(gateway), "the line")
    assert "reason" not in ended(gateway)[0] and agent.metric('penstock_agent_caller_timeouts_total{phase="body"}') == 0


def test_the_caller_may_end_first_and_still_listen(raw, script):
    def answer(connection, _head, _rest):
        connection.sendall(SWITCHED)
        while connection.recv(65536):
            pass
        connection.sendall(b"y" * 300000)
    script.answer = answer
    with switch(raw.agent.port, HOST) as connection:
        connection.send(b"that was all").socket.shutdown(socket.SHUT_WR)
        assert connection.file.read() == b"y" * 300000


def test_a_backend_that_breaks_off_ends_the_tunnel(raw, script):
    script.answer = lambda connection, head, rest: (connection.sendall(SWITCHED + b"half"), connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"), connection.recv(1))[0]
    with switch(raw.agent.port, HOST) as connection:
        assert connection.send(b"x").file.read() == b"half"
    until(lambda: ended(raw), "the line")
    assert ended(raw)[0]["reason"] == "upstream.cut"


def test_who_does_not_read_is_waited_for_in_little_memory(raw, script):
    def answer(connection, _head, _rest):
        connection.sendall(SWITCHED)
        connection.settimeout(1)
        try:
            while True:
                said.append(connection.send(b"z" * 65536))
        except socket.timeout:
            full.set()
        connection.settimeout(20)
        connection.recv(1)
    script.answer, said, full = answer, [], threading.Event()
    before = raw.agent.metric("process_resident_memory_bytes")
    with switch(raw.agent.port, HOST) as connection:
        assert full.wait(20), "the backend is never held back"
        assert raw.agent.metric("process_resident_memory_bytes") - before < 4 << 20
        assert len(connection.file.read(sum(said))) == sum(said)


# ---- life

def test_a_tunnel_is_no_call_of_grpc_whatever_its_head_says(raw, script):
    """Its head is gone when it ends: nothing may be read there."""
    script.says(SWITCHED[:-2] + b"Grpc-Status: 7\r\n\r\n")
    with Connection(raw.agent.port) as connection:
        assert connection.send(ask(HOST, "/", "Content-Type: application/grpc")).read().status == 101
        assert connection.file.read() == b""
    until(lambda: ended(raw), "the line")
    assert "grpc_status" not in ended(raw)[0]
    assert raw.agent.metric('penstock_agent_grpc_calls_total{status="7"}') == 0


def test_a_tunnel_is_counted_at_its_handshake_and_logged_at_its_end(tunnels):
    client = Client(tunnels)
    until(lambda: open_now(tunnels) == 1, "the tunnel to be counted")
    assert tunnels.agent.metric('penstock_agent_requests_total{class="1xx"}') == 1 and not ended(tunnels)
    client.echo("x" * 1000)
    client.close()
    until(lambda: ended(tunnels), "the line")
    line = ended(tunnels)[0]
    assert line["bytes_in"] > 200 and line["bytes_out"] > 200 and "cut" not in line and line["path"] == "/"
    assert line["user_agent"].startswith("Python") and line["api"] == "a"
    assert open_now(tunnels) == 0 and tunnels.agent.metric('penstock_agent_requests_total{class="1xx"}') == 1


def test_silence_ends_a_tunnel(start, controlplane, echo, echo_server, tmp_path):
    agent = start(Agent(tmp_path, controlplane, extra=("--stream-idle-timeout", "800ms")))
    gateway = publish(Gateway(controlplane, agent, echo), echo_server, timeout="0.5s")
    with switch(agent.port, HOST) as connection:
        assert connection.is_closed()
    until(lambda: ended(gateway), "the line")
    assert ended(gateway)[0]["reason"] == "tunnel.idle" and ended(gateway)[0]["duration_ms"] >= 800
    until(lambda: not echo_server.sockets, "the backend to hear of it")
    until(lambda: agent.metric("penstock_agent_stream_timeouts_total") == 1, "the count")


def test_a_thousand_changes_drop_no_tunnel(tunnels, admin):
    clients = []
    tunnels.settle()
    for number in range(1000):
        admin.UpdateApp(app={"name": "apps/marker", "display_name": f"mark {number}"})
        if number % 50 == 0:
            clients.append(Client(tunnels))
    tunnels.publish(tunnels.api("g/a", "/", match="PREFIX", backend={"http": {"address": tunnels.backend.address}}))
    assert open_now(tunnels) == 20
    assert [client.echo("still here") for client in clients] == ["still here"] * 20
    for client in clients:
        client.close()


def test_a_drain_waits_for_a_tunnel_and_cuts_it_at_the_end(start, controlplane, echo, echo_server, tmp_path):
    agent = start(Agent(tmp_path, controlplane, extra=("--drain-timeout", "2s")))
    gateway = publish(Gateway(controlplane, agent, echo), echo_server)
    client = Client(gateway)
    agent.signal(15)
    until(lambda: "draining" in agent.tail(), "the drain to begin")
    assert client.echo("still here") == "still here"
    with pytest.raises(websockets.ConnectionClosed):
        client.run(client.socket.recv())
    assert agent.popen.wait(20) == 0 and ended(gateway)[0]["reason"] == "drain.timeout"


def test_a_drain_ends_with_the_last_tunnel(tunnels):
    client = Client(tunnels)
    tunnels.agent.signal(15)
    until(lambda: "draining" in tunnels.agent.tail(), "the drain to begin")
    client.close()
    assert tunnels.agent.popen.wait(20) == 0  # the timeout is 30 s
