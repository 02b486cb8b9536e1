"""HTTP/2 to callers on the wire, frame by frame (RFC 9113)."""
import json
import socket
import struct
import subprocess

import pytest

from lib import http2
from lib.http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM,
                       SETTINGS, WINDOW_UPDATE, Session, fields, frame)
from lib.wait import until

HOST = "g.example.com"
FIRST = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", HOST)]


@pytest.fixture
def port(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="ANY", match="PREFIX"))
    return gateway.agent.port


@pytest.fixture
def session(port):
    with Session(port, HOST) as opened:
        yield opened


def test_curl_speaks_it_and_the_log_says_so(gateway, port):
    got = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-H", f"Host: {HOST}", "-w", "\n%{http_version}",
                          f"http://127.0.0.1:{port}/x?y=1"], capture_output=True, text=True, timeout=20).stdout
    body, version = got.rsplit("\n", 1)
    seen = json.loads(body)
    assert version == "2" and seen["path"] == "/x?y=1" and seen["headers"]["Via"] == "2 penstock"
    line = until(lambda: gateway.agent.access_log.read_text().splitlines(), "the line of the access log")[-1]
    assert json.loads(line)["protocol"] == "HTTP/2"


def test_many_streams_at_once(port):
    got = subprocess.run(["h2load", "-n", "500", "-c", "2", "-m", "3", "-H", f":authority: {HOST}",
                          f"http://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=60).stdout
    assert "500 succeeded, 0 failed" in got, got


def test_answers_come_as_backends_give_them(session):
    streams = [session.request(path=f"/{number}") for number in range(10)]
    got = {}
    for stream in streams:
        got[stream] = None
    while None in got.values():
        answered = session.read()
        if answered.kind == DATA and answered.flags & END_STREAM:
            got[answered.stream] = True
    assert len(got) == 10


def test_a_body_goes_up_and_its_answer_comes_back(session):
    stream = session.request("POST", "/up", [("content-length", "10")], end=False)
    session.data(stream, b"hello").data(stream, b"world", end=True)
    answer = session.answer(stream)
    assert answer.status == 200 and answer.json()["body"] == "helloworld"


def test_a_body_of_unknown_length_and_its_trailers_reach_the_backend(session):
    stream = session.request("POST", "/up", end=False)
    session.data(stream, b"hello")
    session.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, fields(("x-sum", "1"))))
    answer = session.answer(stream)
    assert answer.status == 200 and answer.json()["body"] == "hello"


def test_head_has_no_body(session):
    answer = session.answer(session.request("HEAD"))
    assert answer.status == 200 and answer.body == b"" and int(answer.header("content-length")) > 0


def test_cookies_cut_in_pieces_are_one_to_the_backend(session):
    answer = session.answer(session.request(headers=[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]))
    assert answer.json()["headers"]["Cookie"] == "a=1; b=2; c=3"


def test_a_body_is_asked_for_when_the_caller_waits(session):
    stream = session.request("POST", headers=[("expect", "100-continue"), ("content-length", "2")], end=False)
    assert session.until(HEADERS, stream).fields == {":status": "100"}
    assert session.data(stream, b"ok", end=True).answer(stream).json()["body"] == "ok"


MALFORMED = {
    "upper case": [*FIRST, ("X-Upper", "1")],
    "unknown pseudo": [*FIRST, (":what", "1")],
    "pseudo of answers": [*FIRST, (":status", "200")],
    "pseudo behind": [*FIRST[:3], ("x", "1"), FIRST[3]],
    "pseudo twice": [*FIRST, (":path", "/")],
    "no method": FIRST[1:],
    "no scheme": [FIRST[0], *FIRST[2:]],
    "no path": [*FIRST[:2], FIRST[3]],
    "no host": FIRST[:3],
    "empty path": [*FIRST[:2], (":path", ""), FIRST[3]],
    "absolute path": [*FIRST[:2], (":path", "http://g.example.com/"), FIRST[3]],
    "fragment": [*FIRST[:2], (":path", "/a#b"), FIRST[3]],
    "blank in path": [*FIRST[:2], (":path", "/a b"), FIRST[3]],
    "star for GET": [*FIRST[:2], (":path", "*"), FIRST[3]],
    "method": [(":method", "G T"), *FIRST[1:]],
    "host differs": [*FIRST, ("host", "other.example.com")],
    "userinfo": [*FIRST[:3], (":authority", "user@g.example.com")],
    "connection": [*FIRST, ("connection", "close")],
    "keep-alive": [*FIRST, ("keep-alive", "1")],
    "proxy-connection": [*FIRST, ("proxy-connection", "close")],
    "transfer-encoding": [*FIRST, ("transfer-encoding", "chunked")],
    "upgrade": [*FIRST, ("upgrade", "h2c")],
    "te": [*FIRST, ("te", "gzip")],
    "control": [*FIRST, ("x", "a\0b")],
    "line end": [*FIRST, ("x", "a\r\nb: c")],
    "blank in name": [*FIRST, ("a b", "1")],
    "empty name": [*FIRST, ("", "1")],
    "protocol": [*FIRST, (":protocol", "websocket")],
    "length twice": [*FIRST, ("content-length", "0"), ("content-length", "1")],
    "length": [*FIRST, ("content-length", "+1")],
    "length without body": [*FIRST, ("content-length", "1")],
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """One gateway for many small cases, each on a connection of its own."""
    from lib.gateway import Gateway
    from lib.servers import Agent, ControlPlane, Echo
    folder = tmp_path_factory.mktemp("http2")
    controlplane = ControlPlane(folder)
    controlplane.start()
    agent = Agent(folder, controlplane)
    agent.start()
    gateway = Gateway(controlplane, agent, Echo())
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="ANY", match="PREFIX"))
    yield gateway
    gateway.backend.stop()
    assert agent.stop() == 0 and controlplane.stop() == 0


@pytest.mark.parametrize("pairs", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_resets_its_stream_alone(standing, pairs):
    with Session(standing.agent.port, HOST) as session:
        got = session.answer(session.open(fields(*pairs)))
        assert (got.kind, got.code) == (RST_STREAM, http2.PROTOCOL_ERROR)
        assert session.answer(session.request()).status == 200


@pytest.mark.parametrize("pairs,status", [
    ([*FIRST[:2], (":path", "/" + "a" * 33000), FIRST[3]], 414),
    ([*FIRST, ("x", "a" * 33000)], 431),
    ([*FIRST, *((f"x{n}", "a" * 1000) for n in range(140))], 431),
    ([*FIRST, *((f"x{n}", "") for n in range(201))], 431),
    ([*FIRST, ("expect", "200-maybe")], 417),
    ([(":method", "CONNECT"), (":authority", "a:1")], 400),
    ([(":method", "CONNECT"), (":protocol", "websocket"), *FIRST[1:]], 400),
], ids=["path", "field", "fields", "count", "expect", "connect", "websocket that ends at once"])
def test_limits_are_answered_and_the_connection_goes_on(standing, pairs, status):
    with Session(standing.agent.port, HOST) as session:
        block = fields(*pairs)
        pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
        session.send(frame(HEADERS, END_STREAM | (END_HEADERS if len(pieces) == 1 else 0), 1, pieces[0]))
        for index, piece in enumerate(pieces[1:], 2):
            session.send(frame(CONTINUATION, END_HEADERS if index == len(pieces) else 0, 1, piece))
        assert session.answer(1).status == status
        session.next = 3
        assert session.answer(session.request()).status == 200


STREAM_ERRORS = {
    "too much data": lambda s: s.data(s.request("POST", headers=[("content-length", "1")], end=False), b"ab", end=True),
    "too little data": lambda s: s.data(s.request("POST", headers=[("content-length", "9")], end=False), b"ab", end=True),
    "pseudo in trailers": lambda s: s.send(frame(HEADERS, END_HEADERS | END_STREAM, s.request("POST", end=False),
                                                 fields((":path", "/")))),
    "trailers that are not last": lambda s: s.send(frame(HEADERS, END_HEADERS, s.request("POST", end=False),
                                                         fields(("x", "1")))),
}


@pytest.mark.parametrize("act", STREAM_ERRORS.values(), ids=STREAM_ERRORS)
def test_errors_of_a_stream_reset_it(standing, act):
    with Session(standing.agent.port, HOST) as session:
        act(session)
        assert session.until(RST_STREAM, 1).code == http2.PROTOCOL_ERROR
        assert session.answer(session.request()).status == 200


def closed_stream(session):
    session.answer(session.request())
    return 1


CONNECTION_ERRORS = {
    "data on stream 0": (lambda s: s.data(0, b"x"), http2.PROTOCOL_ERROR),
    "headers on stream 0": (lambda s: s.send(frame(HEADERS, END_HEADERS, 0, fields(*FIRST))), http2.PROTOCOL_ERROR),
    "settings on a stream": (lambda s: s.send(frame(SETTINGS, 0, 1)), http2.PROTOCOL_ERROR),
    "settings of odd length": (lambda s: s.send(frame(SETTINGS, 0, 0, b"x")), http2.FRAME_SIZE_ERROR),
    "settings ack with content": (lambda s: s.send(frame(SETTINGS, 1, 0, bytes(6))), http2.FRAME_SIZE_ERROR),
    "window too large in settings": (lambda s: s.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31))),
                                     http2.FLOW_CONTROL_ERROR),
    "frame size in settings": (lambda s: s.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1))), http2.PROTOCOL_ERROR),
    "push in settings": (lambda s: s.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 2, 2))), http2.PROTOCOL_ERROR),
    "ping on a stream": (lambda s: s.send(frame(PING, 0, 1, bytes(8))), http2.PROTOCOL_ERROR),
    "ping of odd length": (lambda s: s.send(frame(PING, 0, 0, bytes(7))), http2.FRAME_SIZE_ERROR),
    "goaway on a stream": (lambda s: s.send(frame(GOAWAY, 0, 1, bytes(8))), http2.PROTOCOL_ERROR),
    "reset of an idle stream": (lambda s: s.send(frame(RST_STREAM, 0, 1, bytes(4))), http2.PROTOCOL_ERROR),
    "window of an idle stream": (lambda s: s.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1))),
                                 http2.PROTOCOL_ERROR),
    "window of 0": (lambda s: s.send(frame(WINDOW_UPDATE, 0, 0, bytes(4))), http2.PROTOCOL_ERROR),
    "window of 0 for a stream": (lambda s: s.send(frame(WINDOW_UPDATE, 0, s.request("POST", end=False), bytes(4))),
                                 http2.PROTOCOL_ERROR),
    "window overflow": (lambda s: s.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1))),
                        http2.FLOW_CONTROL_ERROR),
    "data on an idle stream": (lambda s: s.data(1, b"x"), http2.PROTOCOL_ERROR),
    "even stream": (lambda s: s.send(frame(HEADERS, END_HEADERS | END_STREAM, 2, fields(*FIRST))), http2.PROTOCOL_ERROR),
    "push from a caller": (lambda s: s.send(frame(5, END_HEADERS, 1, bytes(4))), http2.PROTOCOL_ERROR),
    "continuation alone": (lambda s: s.send(frame(CONTINUATION, END_HEADERS, 1)), http2.PROTOCOL_ERROR),
    "something between the parts of a head": (
        lambda s: s.send(frame(HEADERS, END_STREAM, 1, fields(*FIRST)) + frame(PING, 0, 0, bytes(8))),
        http2.PROTOCOL_ERROR),
    "padding longer than the frame": (lambda s: s.send(frame(HEADERS, END_HEADERS | 8, 1, b"\xff")), http2.PROTOCOL_ERROR),
    "bad compression": (lambda s: s.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\x7f")),
                        http2.COMPRESSION_ERROR),
    "table too large": (lambda s: s.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x3f\xe1\xff\x03")),
                        http2.COMPRESSION_ERROR),
    "frame too large": (lambda s: s.data(s.request("POST", end=False), bytes(16385)), http2.FRAME_SIZE_ERROR),
    "headers on a closed stream": (lambda s: s.send(frame(HEADERS, END_HEADERS | END_STREAM, closed_stream(s),
                                                          fields(*FIRST))), http2.STREAM_CLOSED),
    "data on a closed stream": (lambda s: s.data(closed_stream(s), b"x"), http2.STREAM_CLOSED),
    "stream numbers that go back": (
        lambda s: s.send(frame(HEADERS, END_HEADERS | END_STREAM, 5, fields(*FIRST)) +
                         frame(HEADERS, END_HEADERS | END_STREAM, 3, fields(*FIRST))), http2.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("act,code", CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS)
def test_errors_of_the_connection_end_it_with_goaway(standing, act, code):
    with Session(standing.agent.port, HOST) as session:
        act(session)
        assert session.until(GOAWAY).code == code
        assert session.is_closed()


def test_a_preface_that_is_not_followed_by_settings_ends_it(standing):
    with Session(standing.agent.port, HOST, preface=PREFACE + frame(PING, 0, 0, bytes(8))) as session:
        assert session.until(GOAWAY).code == http2.PROTOCOL_ERROR
        assert session.is_closed()


def test_a_preface_in_pieces_is_a_preface(standing):
    with socket.create_connection(("127.0.0.1", standing.agent.port), 10) as caller:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in PREFACE + frame(SETTINGS, 0, 0):
            caller.sendall(bytes([byte]))
        assert caller.recv(4096)[3] == SETTINGS


def test_http2_can_be_off(start, tmp_path, controlplane):
    from lib.http1 import Connection
    from lib.servers import Agent
    agent = start(Agent(tmp_path, controlplane, extra=["--http2=false"]))
    with Connection(agent.port) as connection:
        assert connection.send(PREFACE).read().status == 505
