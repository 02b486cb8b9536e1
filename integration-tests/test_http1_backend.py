"""What backends may say, and what callers then get (RFC 9112)."""
import signal
import socket
import ssl
import struct
import threading
from pathlib import Path

import pytest

from lib import http2
from lib.gateway import Gateway
from lib.http1 import Connection, request
from lib.process import PATIENCE
from lib.script import Script
from lib.servers import Agent
from lib.wait import until

HOST = "g.example.com"
GET = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def port(gateway, script):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="ANY", match="PREFIX",
                                backend={"http": {"address": script.address}}))
    return gateway.agent.port


GARBAGE = {
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nConte",
    "interim and nothing": b"HTTP/1.1 100 Continue\r\n\r\n",
    "endless interims": b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + OK,
    "switched protocols": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw",
    "status 999": b"HTTP/1.1 999 X\r\nContent-Length: 2\r\n\r\nok",
    "status 99": b"HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\nok",
    "four digits": b"HTTP/1.1 2000 X\r\nContent-Length: 2\r\n\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "control in reason": b"HTTP/1.1 200 a\rb\r\n\r\n",
    "NUL in value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "blank before colon": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    "fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "no number": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "gzip coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "chunks in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "endless line": b"HTTP/1.1 200 " + b"a" * 40000,
    "endless field": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
    "endless fields": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 250 + b"\r\n",
}


def test_what_is_no_answer_is_a_bad_gateway_and_the_caller_may_go_on(port, script):
    with Connection(port) as connection:
        for name, said in GARBAGE.items():
            script.says(said)
            answer = connection.send(GET).read()
            while answer.status < 200:
                answer = connection.read()
            assert (name, answer.status, answer.code) == (name, 502, "APIG.0202"), answer
        script.says(OK, keep=True)
        assert connection.send(GET).read().body == b"ok"


@pytest.mark.parametrize("said,body", [
    (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", b"ok"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil it closes", b"until it closes"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more than it said", b"ok"),
    (CHUNKED + b"2;x=\"y\"\r\nok\r\n0\r\n\r\n", b"ok"),
], ids=["no reason", "empty reason", "1.0", "until close", "100", "too long", "extension"])
def test_what_is_odd_and_clear_passes(port, script, said, body):
    script.says(said)
    with Connection(port) as connection:
        for _ in range(2):
            answer = connection.send(GET).read()
            assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize("said", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok",
    CHUNKED + b"5\r\nok", CHUNKED + b"2\r\nok\r\n", CHUNKED + b"2\r\nok\r\nzz\r\n", CHUNKED + b"2\r\nokok\r\n0\r\n\r\n",
    CHUNKED + b"2\r\nok\r\nfffffffffffffffff\r\n",
    CHUNKED + b"2\r\nok\r\n0\r\nno trailer\r\n\r\n",
], ids=["length", "in a chunk", "between chunks", "size", "chunk too long", "overflow", "trailer"])
def test_a_cut_answer_is_seen_as_cut(port, script, said):
    script.says(said)
    with Connection(port) as connection:
        got = connection.send(GET).file.read()
    assert got.startswith(b"HTTP/1.1 200 OK\r\n") and not got.endswith(b"0\r\n\r\n")


def test_early_hints_pass_and_not_to_http_1_0(port, script):
    script.says(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n", OK, keep=True)
    with Connection(port) as connection:
        hints = connection.send(GET).read()
        assert (hints.status, hints.headers) == (103, [("Link", "</a.css>")])
        assert connection.read().body == b"ok"
    with Connection(port) as connection:
        assert connection.send(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n").read().body == b"ok"


def test_hop_by_hop_fields_stay_on_their_hop(port, script):
    script.says(b"HTTP/1.1 200 OK\r\nConnection: X-Own, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Own: 1\r\n"
                b"Upgrade: h2c\r\nProxy-Authenticate: Basic\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                b"X-Request-Id: backend\r\nContent-Length: 2\r\n\r\nok", keep=True)
    with Connection(port) as connection:
        answer = connection.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Host, X-Forwarded-For, X-Mine\r\n"
                                 "X-Mine: 1\r\nTE: gzip\r\nKeep-Alive: 3\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\n"
                                 "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
                                 "X_Forwarded_For: 192.0.2.2\r\nTransfer_Encoding: chunked\r\nmy_own: 1\r\n"
                                 "X-Request-Id: mine\r\nVia: 1.0 edge\r\nHTTP2-Settings: AA\r\n\r\n").read()
    names = {name.lower() for name, _ in answer.headers}
    assert not names & {"connection", "keep-alive", "x-own", "upgrade", "proxy-authenticate"}
    assert answer.all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.all("X-Request-Id") != ["backend"]
    sent = [line.split(": ", 1) for line in script.heads[0].split("\r\n")[1:]]
    fields = {name.lower(): value for name, value in sent}
    assert len(fields) == len(sent)
    assert not set(fields) & {"connection", "keep-alive", "te", "upgrade", "proxy-authorization", "http2-settings",
                              "x-mine"}
    assert fields["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
    assert "x_forwarded_for" not in fields and "transfer_encoding" not in fields and fields["my_own"] == "1"
    assert fields["x-forwarded-proto"] == "http" and fields["x-forwarded-host"] == HOST
    assert fields["via"] == "1.0 edge, 1.1 penstock" and fields["x-request-id"] == answer.header("X-Request-Id")


def test_via_names_the_version_that_came(port, script):
    script.says(OK, keep=True)
    with Connection(port) as connection:
        connection.send(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n").read()
    assert "\r\nVia: 1.0 penstock" in script.heads[0]


def test_trailers_pass_but_not_those_that_change_the_message(port, script):
    script.says(CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nSet-Cookie: a=1\r\n\r\n")
    with Connection(port) as connection:
        assert connection.send(GET).read().body == b"ok"
        assert connection.trailers == ["X-Sum: 1"]


STEERING = [("content_length", "9"), ("x_forwarded_for", "192.0.2.9"), ("authorization", "Basic eA=="), ("x-stage", "TEST"),
            ("max-forwards", "1"), ("if-match", "*"), ("x-original-url", "/admin"), ("set_cookie", "a=1")]


def post_with_trailers(port, version, trailers):
    """A chunked request, or one of HTTP/2; the status of its answer."""
    if version == 1:
        lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
        with Connection(port) as connection:
            return connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   f"2\r\nok\r\n0\r\n{lines}\r\n").read().status
    with http2.Session(port, HOST) as session:
        stream = session.request("POST", end=False)
        session.data(stream, b"ok")
        session.send(http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, http2.fields(*trailers)))
        return session.answer(stream).status


@pytest.mark.parametrize("version", [1, 2])
def test_trailers_of_a_request_pass_but_not_those_that_steer(port, script, version):
    got = []

    def keep(connection, _head, body):
        while not body.endswith(b"\r\n\r\n"):
            body += connection.recv(4096)
        got.append(body)
        connection.sendall(OK)
    script.answer = keep
    assert post_with_trailers(port, version, [("x-sum", "1"), *STEERING, ("my_own", "2")]) == 200
    assert got == [b"2\r\nok\r\n0\r\nx-sum: 1\r\nmy_own: 2\r\n\r\n"]


@pytest.mark.parametrize("said,status,length", [
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, None),
    (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 204, None),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", 304, "5"),
], ids=["204 length", "204 chunked", "304"])
def test_bodies_where_there_cannot_be_any_do_not_reach_the_next_answer(port, script, said, status, length):
    script.says(said, keep=True)
    with Connection(port) as connection:
        for _ in range(3):
            answer = connection.send(GET).read()
            assert (answer.status, answer.header("Content-Length")) == (status, length)


def test_head_answers_with_a_body_do_not_reach_the_next_answer(port, script):
    script.says(OK, keep=True)
    with Connection(port) as connection:
        for _ in range(3):
            answer = connection.send(f"HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").read("HEAD")
            assert (answer.status, answer.header("Content-Length")) == (200, "2")
        assert connection.send(GET).read().body == b"ok"


def echo_while_reading(connection, head, rest):
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + rest)
    length -= len(rest)
    while length > 0 and (data := connection.recv(65536)):
        connection.sendall(data)
        length -= len(data)
    return True


def test_a_backend_may_answer_while_it_reads(port, script):
    script.answer = echo_while_reading
    body = bytes(range(256)) * 12000
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n")
        writer = threading.Thread(target=connection.send, args=(body,))
        writer.start()
        answer = connection.read()
        writer.join()
    assert (answer.status, answer.body) == (200, body)
    assert request(port, "/", HOST, method="POST", body=b"x" * 1000).body == b"x" * 1000


def test_a_conversation_of_one_body_each_way(port, script):
    script.answer = echo_while_reading
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 30\r\n\r\n")
        assert connection.file.readline() == b"HTTP/1.1 200 OK\r\n"
        while connection.file.readline() != b"\r\n":
            pass
        for number in range(10):
            connection.send(f"{number:03}")
            assert connection.file.read(3) == f"{number:03}".encode()
        script.says(OK)
        assert connection.send(GET).read().body == b"ok"


@pytest.mark.parametrize("said", [
    b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
], ids=["refused", "taken"])
def test_an_answer_before_the_end_of_the_upload_arrives(port, script, said):
    script.says(said)
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {8 << 20}\r\n\r\n".encode()
                        + b"x" * (8 << 20))
        answer = connection.read()
        assert (answer.status, answer.body) == (int(said[9:12]), b"no")
        assert connection.is_closed()


@pytest.mark.parametrize("scheme", ["HTTP", "HTTPS"])
def test_an_answer_that_came_before_a_reset_arrives(start, controlplane, echo, certificates, tmp_path, scheme):
    """The agent finds both at once, and what it finds first is that it cannot send on."""
    def answer(connection, _head, rest):
        while len(rest) < 10:
            rest += connection.recv(100)
        heard.set()
        assert stopped.wait(20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        connection.close()
        left.set()
    own, heard, stopped, left = certificates.issue("server"), threading.Event(), threading.Event(), threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)
    backend = Script(context if scheme == "HTTPS" else None)
    backend.answer = answer
    agent = start(Agent(tmp_path, controlplane, extra=("--upstream-ca-file", certificates.ca)))
    gateway = Gateway(controlplane, agent, echo)
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="POST", backend={"http": {
        "address": backend.address, "scheme": f"BACKEND_SCHEME_{scheme}"}}))
    with Connection(agent.port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 30\r\n\r\n" + "x" * 10)
        assert heard.wait(20)
        agent.signal(signal.SIGSTOP)
        until(lambda: Path(f"/proc/{agent.popen.pid}/stat").read_text().split()[2] == "T", "the agent to stop")
        stopped.set()
        assert left.wait(20)
        connection.send(b"x" * 10)
        agent.signal(signal.SIGCONT)
        answer = connection.read()
        assert (answer.status, answer.body) == (413, b"no")
    backend.stop()


def test_memory_is_bounded_by_slow_readers_not_by_answers(port, gateway, script):
    size, slow = 100 << 20, 20

    def endless(connection, _head, _rest):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = bytes(1 << 16)
        for _ in range(size >> 16):
            connection.sendall(piece)
        return False
    script.answer = endless
    connections = [Connection(port) for _ in range(slow)]
    for connection in connections:
        connection.send(GET)
        assert connection.file.readline() == b"HTTP/1.1 200 OK\r\n"
    for _ in range(100):
        for connection in connections:
            assert len(connection.file.read(5000)) == 5000

    def resident(pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    if PATIENCE == 1:  # sanitizers keep memory
        assert resident(gateway.agent.pid) < 50 * 1024
    for connection in connections:  # callers that leave with a reset
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    script.says(OK)
    assert request(port, "/", HOST).body == b"ok"
    until(lambda: gateway.agent.access_log.read_text().count("caller.gone") == slow, "the log to say who left")
