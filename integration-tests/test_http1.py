"""HTTP/1.1 on the wire, byte by byte (catalogue 4.6; RFC 9112)."""
import pytest

from lib.http1 import Connection

HOST = "g.example.com"


@pytest.fixture
def port(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="ANY", match="PREFIX"))
    return gateway.agent.port


BAD = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
    b"GET /a/../b HTTP/1.1\r\nHost: g.example.com\r\n\r\n",
    b"GET /%00 HTTP/1.1\r\nHost: g.example.com\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: g.example.com\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", BAD)
def test_what_parsers_read_differently_is_refused_and_the_connection_closed(port, request_bytes):
    with Connection(port) as connection:
        answer = connection.send(request_bytes).read()
        assert answer.status in (400, 501), answer
        assert answer.code.startswith("APIG.0") and answer.json()["request_id"]
        if not request_bytes.startswith((b"GET /a/..", b"GET /%")):
            assert connection.is_closed()


@pytest.mark.parametrize("request_bytes,status", [
    (b"GET /" + b"a" * 33000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 33000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: %s\r\n" % (i, b"a" * 1000) for i in range(140)) + b"\r\n", 431),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"POST / HTTP/1.1\r\nHost: g.example.com\r\nContent-Length: 12582913\r\n\r\n", 413),
], ids=["line", "header", "headers", "version", "body"])
def test_limits(port, request_bytes, status):
    with Connection(port) as connection:
        assert connection.send(request_bytes).read().status == status
        assert connection.is_closed()


def test_requests_one_after_another_on_one_connection(port):
    with Connection(port) as connection:
        for number in range(50):
            connection.send(f"GET /{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            assert connection.read().json()["path"] == f"/{number}"


def test_pipelined_requests_are_answered_in_order(port):
    with Connection(port) as connection:
        connection.send("".join(f"POST /{number} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\n{number:02}"
                                for number in range(20)))
        got = [connection.read().json() for _ in range(20)]
    assert [(request["path"], request["body"]) for request in got] == [(f"/{n}", f"{n:02}") for n in range(20)]


def test_bytes_may_come_one_by_one(port):
    with Connection(port) as connection:
        for byte in f"POST /x HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            connection.send(byte)
        assert connection.read().json()["body"] == "abc"


def test_a_chunked_body_arrives_whole(port):
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nX-Trailer: 1\r\n\r\n")
        assert connection.read().json()["body"] == "Wikipedia"


def test_a_post_without_a_body_says_so_to_the_backend(port):
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        headers = {name.lower(): value for name, value in connection.read().json()["headers"].items()}
        assert headers["content-length"] == "0"


def test_large_bodies_pass_both_ways(port, gateway):
    body = bytes(range(256)) * 20000
    gateway.backend.reply = lambda request: (200, [], request["body"].encode("latin-1"))
    answer = gateway.call(method="POST", body=body)
    assert answer.status == 200 and answer.body == body


def test_100_continue_comes_before_the_body(port):
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert connection.read().status == 100
        connection.send("abc")
        assert connection.read().json()["body"] == "abc"


def test_no_100_continue_for_what_is_refused(port):
    with Connection(port) as connection:
        connection.send("POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert connection.read().status == 404


def test_head_has_no_body(port):
    with Connection(port) as connection:
        for _ in range(2):
            connection.send(f"HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            answer = connection.read("HEAD")
            assert answer.status == 200 and int(answer.header("Content-Length")) > 0


def test_http_1_0_closes(port):
    with Connection(port) as connection:
        connection.send(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n")
        assert connection.read().status == 200
        assert connection.is_closed()


def test_connection_close_closes(port):
    with Connection(port) as connection:
        connection.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")
        answer = connection.read()
        assert answer.status == 200 and answer.header("Connection") == "close"
        assert connection.is_closed()


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_body(port, gateway, status):
    gateway.backend.reply = lambda request: (status, [], b"")
    with Connection(port) as connection:
        for _ in range(2):
            connection.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            assert connection.read().status == status
