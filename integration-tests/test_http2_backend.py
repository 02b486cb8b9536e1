"""Backends that speak HTTP/2: nginx, and scripts that say frames."""
import threading

import pytest

from lib import http1
from lib.http2 import ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, Session, \
    fields, frame
from lib.script import Script
from lib.servers import Nginx
from lib.wait import until

LARGE = 3 * 1024 * 1024


def api(gateway, address, **more):
    gateway.api("h2/all", "/", method="ANY", match="PREFIX",
                backend={"http": {"address": address, "protocol": "BACKEND_PROTOCOL_HTTP2", **more}})
    gateway.publish("h2/all")


@pytest.fixture
def nginx(start, tmp_path):
    """Only HTTP/2, in the clear; a connection ends with GOAWAY after 100 requests."""
    server = Nginx(tmp_path, server="""
        keepalive_requests 100; client_max_body_size 20m;
        location /body { return 200 "$request_length"; }
        location / { add_header X-Seen "$server_protocol $host $http_te"; return 200 "nginx $request_uri\\n"; }""")
    conf = server.folder / "nginx/nginx.conf"
    conf.write_text(conf.read_text().replace(f"listen {server.address};", f"listen {server.address} http2;"))
    return start(server)


@pytest.fixture
def h2(gateway, nginx):
    gateway.group("h2")
    api(gateway, nginx.address)
    return gateway


def test_requests_and_answers(h2):
    answer = h2.call("/a?b=c")
    assert answer.status == 200 and answer.body == b"nginx /a?b=c\n"
    assert answer.header("X-Seen").split()[0] == "HTTP/2.0"
    assert h2.call("/", method="HEAD").body == b""
    assert h2.call("/body", method="POST", body=b"x" * LARGE).status == 200  # before it has read it
    until(lambda: h2.agent.metric("penstock_agent_upstream_http2_streams_total") == 3, "the streams to be counted")


def test_sessions_are_shared_and_go_away_without_loss(h2):
    answers = []

    def call():
        answers.extend(h2.call(f"/{number}").status for number in range(150))
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 1200
    until(lambda: h2.agent.metric("penstock_agent_upstream_http2_goaways_total") > 0, "a GOAWAY to be counted")
    assert h2.agent.metric("penstock_agent_upstream_connects_total") < 100


def test_a_backend_of_http1_is_told_apart(gateway):
    gateway.group("h2")
    api(gateway, gateway.backend.address)
    answer = gateway.call("/")
    assert answer.status == 502 and answer.code == "APIG.0202"
    until(lambda: gateway.agent.metric("penstock_agent_upstream_http2_failures_total") > 0, "it to be counted")
    assert "a backend does not speak HTTP/2" in gateway.agent.log.read_text()


def read_request(connection, rest):
    """Frames up to the first request's head; what nghttp2 asks for before it sends one is said."""
    connection.sendall(frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))
    rest = rest.removeprefix(b"SM\r\n\r\n")
    while True:
        while len(rest) < 9 or len(rest) < 9 + int.from_bytes(rest[:3], "big"):
            rest += connection.recv(65536)
        if rest[3] == HEADERS:
            return
        rest = rest[9 + int.from_bytes(rest[:3], "big"):]


@pytest.fixture
def script(gateway):
    """script(frames...): what a backend says to each request; then it closes the connection."""
    backend = Script()

    def begin(*frames):
        def answer(connection, _head, rest):
            read_request(connection, rest)
            connection.sendall(b"".join(frames))
        backend.answer = answer
        gateway.group("h2")
        api(gateway, backend.address)
        return gateway
    yield begin
    backend.stop()


HEAD = frame(HEADERS, END_HEADERS, 1, fields((":status", "200"), ("content-type", "application/grpc")))


def test_a_stream_that_is_cut_is_reset(script):
    """What began never ends as if it were whole."""
    gateway = script(HEAD, frame(DATA, 0, 1, b"part"))
    with Session(gateway.agent.port, gateway.host) as session:
        answer = session.answer(session.request())
        assert answer.kind == RST_STREAM
    with http1.Connection(gateway.agent.port) as connection, pytest.raises((ValueError, AssertionError)):
        connection.send(f"GET / HTTP/1.1\r\nHost: {gateway.host}\r\n\r\n").read()


@pytest.mark.parametrize("said", [
    frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(("x", "no status"))),
    frame(DATA, END_STREAM, 1, b"data first"),
    frame(HEADERS, END_HEADERS | END_STREAM, 1, fields((":status", "200"), ("connection", "close"))),
    frame(RST_STREAM, 0, 1, b"\0\0\0\1"),
    frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, b"") * 40,
    frame(PING, 0, 0, b"12345678") * 1100,
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
], ids=["no status", "data first", "connection", "reset", "continuations", "pings", "HTTP/1"])
def test_what_is_no_answer_is_a_bad_gateway(script, said):
    answer = script(said).call("/")
    assert answer.status == 502 and answer.code == "APIG.0202"
