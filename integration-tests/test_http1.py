"""HTTP/1.1 on the wire, byte by byte (RFC 9112)."""
import json
import socket

import pytest

from lib.http1 import Connection
from lib.wait import until

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


def get(path="/", host=HOST):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"


@pytest.mark.parametrize("request_bytes", [
    get(), get() * 3, f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n\r\nabc", get(host="nobody"),
], ids=["get", "pipelined", "post", "refused"])
def test_who_has_sent_all_and_says_so_gets_all_answers(port, request_bytes):
    with Connection(port) as connection:
        connection.send(request_bytes).socket.shutdown(socket.SHUT_WR)
        for _ in range(request_bytes.count("HTTP/1.1")):
            assert connection.read().status in (200, 404)
        assert connection.is_closed()


@pytest.mark.parametrize("request_bytes", [
    "", "GET / HT", f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n\r\nab",
    f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
], ids=["nothing", "head", "length", "chunked"])
def test_half_a_request_gets_no_answer(port, request_bytes):
    with Connection(port) as connection:
        connection.send(request_bytes).socket.shutdown(socket.SHUT_WR)
        assert connection.is_closed()


@pytest.mark.parametrize("host,status", [(HOST, 413), ("nobody", 404)])
def test_who_sends_a_whole_upload_before_reading_hears_why_it_is_refused(port, host, status):
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {16 << 20}\r\n\r\n".encode())
        connection.send(b"x" * (16 << 20))
        assert connection.read().status == status
        assert connection.is_closed()


def test_an_error_among_pipelined_requests_ends_them(port, gateway):
    with Connection(port) as connection:
        connection.send(get("/1") + get(host="nobody") + get("/2") + "NO REQUEST\r\n\r\n" + get("/3"))
        assert [connection.read().status for _ in range(4)] == [200, 404, 200, 400]
        assert connection.is_closed()
    assert [request["path"] for request in gateway.backend.requests] == ["/1", "/2"]


@pytest.mark.parametrize("chunks", [
    "3 \r\nabc\r\n0\r\n\r\n", " 3\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n",
    "-1\r\nabc\r\n0\r\n\r\n", "10000000000000003\r\nabc\r\n0\r\n\r\n", "ffffffffffffffff\r\nabc", "3\nabc\n0\n\n",
    "3\r\nabc\n0\r\n\r\n", "3;a\nabc\r\n0\r\n\r\n", "3;a\rb\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n",
    "\r\nabc\r\n0\r\n\r\n", ";\r\n0\r\n\r\n", "3;" + "a" * 5000 + "\r\nabc\r\n0\r\n\r\n", "0\r\nX T: 1\r\n\r\n",
    "0\r\nX: 1\r\n y\r\n\r\n", "0\r\nX: 1\n\r\n", "0\r\n\rX",
])
def test_a_malformed_chunk_is_refused_and_no_request_follows_it(port, gateway, chunks):
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
                        + get("/smuggled"))
        assert connection.read().status == 400
        assert connection.is_closed()
    assert "/smuggled" not in [request["path"] for request in gateway.backend.requests]


@pytest.mark.parametrize("fields", [
    "Transfer-Encoding: identity", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: chunked,", "Transfer-Encoding: ,chunked", "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked;x=1", "Transfer-Encoding :chunked", "Transfer-Encoding:\r\n chunked",
    "Content-Length: 0\r\nContent-Length: 0", "Content-Length: 0, 0", "Content-Length: 0x0", "Content-Length: -0",
    "Content-Length:", "Content-Length: 9223372036854775808", "Content-Length: 0 0",
])
def test_a_length_that_is_not_plain_is_refused(port, fields):
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n\r\n0\r\n\r\n" + get())
        assert connection.read().status in (400, 501)
        assert connection.is_closed()


@pytest.mark.parametrize("value", ["chunked", "Chunked", "\tCHUNKED\t"])
def test_chunked_in_any_case(port, value):
    with Connection(port) as connection:
        connection.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding:{value}\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert connection.read().json()["body"] == "abc"
        assert connection.send(get()).read().status == 200


def test_http_1_0_keeps_alive_when_asked(port):
    with Connection(port) as connection:
        for _ in range(2):
            connection.send(f"GET / HTTP/1.0\r\nHost: {HOST}\r\nConnection: Keep-Alive\r\n\r\n")
            answer = connection.read()
            assert answer.status == 200 and answer.header("Connection") == "keep-alive"


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0"])
def test_no_request_switches_to_other_protocols_than_websocket(port, protocol):
    with Connection(port) as connection:
        connection.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                        f"Upgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        answer = connection.read()
        assert answer.status == 200
        assert not {"Upgrade", "Connection", "Http2-Settings"} & set(answer.json()["headers"])


@pytest.mark.parametrize("target,host,status", [
    (f"http://{HOST}/x", HOST, 200), (f"HTTP://{HOST.upper()}/x", HOST, 200), (f"http://{HOST}:80/x", HOST, 200),
    (f"http://{HOST}/x", "other.example.com", 400), (f"http://user@{HOST}/x", HOST, 400),
    (f"ftp://{HOST}/x", HOST, 400), ("x", HOST, 400), ("*", HOST, 400), ("/x", "", 400),
    ("/x", f"{HOST}:80", 200), ("/x", f"{HOST}:http", 400), ("/x", f"user@{HOST}", 400), ("/x", f"{HOST},x", 400),
    ("/x", f"{HOST}/x", 400), ("/x", f"{HOST}:65536", 400), ("/x", f"{HOST}.", 200),
])
def test_targets_and_hosts(port, target, host, status):
    with Connection(port) as connection:
        answer = connection.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").read()
        assert answer.status == status
        assert status != 200 or answer.json()["path"] == "/x"


@pytest.mark.parametrize("request_bytes", [
    f"OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: nobody\r\n\r\n",
    f"OPTIONS /x HTTP/1.1\r\nHost: {HOST}\r\nMax-Forwards: 0\r\n\r\n",
], ids=["server", "server of any name", "no further"])
def test_options_for_the_gateway_itself(port, gateway, request_bytes):
    with Connection(port) as connection:
        answer = connection.send(request_bytes).read()
        assert (answer.status, answer.header("Content-Length")) == (204, None) and "GET" in answer.header("Allow")
        assert connection.send(get()).read().status == 200
    assert [request["method"] for request in gateway.backend.requests] == ["GET"]


def test_options_goes_one_hop_less_far(port):
    with Connection(port) as connection:
        connection.send(f"OPTIONS /x HTTP/1.1\r\nHost: {HOST}\r\nMax-Forwards: 3\r\n\r\n")
        assert connection.read().json()["headers"]["Max-Forwards"] == "2"


def test_trace_is_not_served(port, gateway):
    with Connection(port) as connection:
        answer = connection.send(f"TRACE / HTTP/1.1\r\nHost: {HOST}\r\nCookie: a=1\r\n\r\n").read()
        assert answer.status == 405 and "TRACE" not in answer.header("Allow") and b"a=1" not in answer.body
    assert not gateway.backend.requests


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "X-Apig-AppCode", "x-stage", "Range"])
def test_what_there_may_be_one_of_is_refused_twice(port, gateway, name):
    with Connection(port) as connection:
        connection.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{name}: a\r\n{name.upper()}: b\r\n\r\n")
        assert connection.read().status == 400
    assert not gateway.backend.requests


def test_a_higher_minor_version_is_read_as_1_1(port, gateway):
    with Connection(port) as connection:
        for _ in range(2):
            assert connection.send(f"GET / HTTP/1.9\r\nHost: {HOST}\r\n\r\n").read().status == 200


@pytest.mark.parametrize("method,status", [("PROPFIND", 200), ("get", 400), ("G" * 33, 501)])
def test_methods_are_words_in_upper_case(port, method, status):
    with Connection(port) as connection:
        assert connection.send(f"{method} / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").read().status in (status, 501)


def test_the_log_holds_what_was_sent_and_cannot_be_split(port, gateway):
    agent = 'x"} \xff\t\\{"status":1'
    gateway.call("/a%22b", headers=[("User-Agent", agent)])
    with Connection(port) as connection:
        connection.send("GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n").read()
    lines = until(lambda: (lines := gateway.agent.access_log.read_text().splitlines())[1:] and lines, "two lines")
    first, second = sorted(map(json.loads, lines), key=lambda line: line["status"])  # of two workers, in any order
    assert first["path"] == '/a"b' and first["user_agent"].startswith('x"} ')
    assert first["user_agent"].endswith('\t\\{"status":1') and first["status"] == 200
    assert second["status"] == 400 and second["reason"] == "http.target" and "path" not in second
