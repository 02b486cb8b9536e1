"""HTTP/2 to callers: whose turn it is, how long it may take, and what is too much."""
import signal
import struct
import subprocess

import pytest

from lib import http2
from lib.gateway import Gateway
from lib.http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY,
                       RST_STREAM, SETTINGS, WINDOW_UPDATE, Session, fields, frame)
from lib.script import Script
from lib.servers import Agent, ControlPlane, Echo
from lib.wait import until

HOST = "g.example.com"
FIRST = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", HOST)]
SHORT = ["--head-timeout", "300ms", "--body-timeout", "300ms", "--write-timeout", "400ms", "--idle-timeout", "1500ms",
         "--request-body-max", "1MiB"]


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """One gateway for all, with little patience; "/said" goes to a backend that says what it is told."""
    folder = tmp_path_factory.mktemp("http2")
    controlplane = ControlPlane(folder)
    controlplane.start()
    agent = Agent(folder, controlplane, extra=SHORT)
    agent.start()
    gateway = Gateway(controlplane, agent, Echo())
    gateway.script = Script()
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="ANY", match="PREFIX"))
    gateway.publish(gateway.api("g/s", "/said", method="ANY", backend={"http": {"address": gateway.script.address}}))
    yield gateway
    gateway.backend.stop()
    gateway.script.stop()
    assert agent.stop() == 0 and controlplane.stop() == 0


@pytest.fixture
def session(standing):
    with Session(standing.agent.port, HOST) as opened:
        yield opened


def counts(standing, series, act):
    """The series goes up by one through it."""
    before = standing.agent.metric(series)
    act()
    until(lambda: standing.agent.metric(series) == before + 1, f"{series} to go up by one")


# ---- answers of backends

def test_interim_answers_and_trailers_pass(standing, session):
    standing.script.says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                         b"Trailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n")
    answer = session.answer(session.request(path="/said"))
    assert (answer.status, answer.interim, answer.body, answer.trailers) == (200, [103], b"hello", {"x-sum": "7"})


def test_heads_of_many_frames_pass(standing, session):
    standing.script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" +
                         b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(100)) + b"\r\n")
    answer = session.answer(session.request(path="/said"))
    assert answer.status == 200 and answer.header("x-99") == "a" * 1000


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_end_with_their_head(standing, session, status):
    standing.script.says(b"HTTP/1.1 %d X\r\nX-Own: 1\r\n\r\n" % status)
    answer = session.answer(session.request(path="/said"))
    assert (answer.status, answer.body, answer.header("x-own")) == (status, b"", "1")


def test_a_cut_answer_resets_its_stream_alone(standing, session):
    standing.script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour")
    stream = session.request(path="/said")
    assert session.until(DATA, stream).payload == b"four"
    assert session.until(RST_STREAM, stream).code == http2.INTERNAL_ERROR
    assert session.answer(session.request()).status == 200


def test_what_a_caller_takes_back_is_taken_back_from_the_backend(standing, session):
    gone = []

    def wait_for_the_end(connection, *_):
        gone.append(connection.recv(1))
    standing.script.answer = wait_for_the_end
    before = len(standing.script.heads)
    stream = session.request(path="/said")
    until(lambda: len(standing.script.heads) > before, "the request to reach the backend")
    session.send(frame(RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL)))
    until(lambda: gone == [b""], "the backend's connection to end")
    assert session.answer(session.request()).status == 200


def test_who_uploads_too_much_hears_it_and_is_asked_to_stop(session):
    stream = session.request("POST", headers=[("content-length", "1048577")], end=False)
    session.data(stream, bytes(16384))
    assert session.answer(stream).status == 413
    assert session.until(RST_STREAM, stream).code == http2.NO_ERROR
    assert session.answer(session.request()).status == 200


# ---- windows

def test_an_answer_comes_as_its_window_opens(standing):
    with Session(standing.agent.port, HOST, settings=[(INITIAL_WINDOW_SIZE, 0)]) as session:
        stream = session.request()
        length = int(session.until(HEADERS, stream).fields["content-length"])
        body = b""
        while len(body) < length:
            session.send(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 100)))
            piece = session.until(DATA, stream)
            assert 0 < len(piece.payload) <= 100
            body += piece.payload
        assert len(body) == length


def test_a_window_that_stays_closed_ends_its_stream_alone(standing):
    with Session(standing.agent.port, HOST, settings=[(INITIAL_WINDOW_SIZE, 0)]) as session:
        def starve():
            assert session.until(RST_STREAM, session.request()).code == http2.CANCEL
        counts(standing, 'penstock_agent_caller_timeouts_total{phase="write"}', starve)
        assert session.answer(session.request("HEAD")).status == 200


def test_a_body_that_nobody_reads_holds_up_no_other(standing, session):
    entered = []

    def never_read(connection, *_):
        entered.append(connection)
        until(lambda: len(entered) > 1, "the end", 20)
    standing.script.answer = never_read
    stuck = session.request("POST", "/said", end=False)
    body = bytes(16384)
    session.data(stuck, body).data(stuck, body).data(stuck, body).data(stuck, body)
    assert session.answer(session.request()).status == 200
    other = session.request("POST", end=False)
    session.data(other, body).data(other, body, end=True)
    assert len(session.answer(other).json()["body"]) == 2 * len(body)
    entered.append(None)


def test_large_bodies_pass_whole_both_ways(standing, tmp_path):
    standing.backend.reply, before = (lambda request: (200, [], request["body"].encode("latin-1"))), standing.backend.reply
    body = bytes(range(256)) * 3900
    (tmp_path / "body").write_bytes(body)
    got = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-H", f"Host: {HOST}", "--data-binary", f"@{tmp_path}/body",
                          f"http://127.0.0.1:{standing.agent.port}/"], capture_output=True, timeout=30)
    standing.backend.reply = before
    assert got.stdout == body


# ---- time

def test_a_head_that_trickles_ends_the_connection(standing, session):
    def trickle():
        session.send(frame(HEADERS, END_STREAM, 1, fields(*FIRST)))
        assert session.until(GOAWAY).code == http2.PROTOCOL_ERROR
        assert session.is_closed()
    counts(standing, 'penstock_agent_caller_timeouts_total{phase="head"}', trickle)


def test_a_body_that_stops_is_answered(standing, session):
    def stop():
        stream = session.request("POST", "/", end=False)
        assert session.data(stream, b"x").answer(stream).status == 408
    counts(standing, 'penstock_agent_caller_timeouts_total{phase="body"}', stop)
    assert session.answer(session.request()).status == 200


def test_a_body_that_stops_is_no_stream_because_its_caller_says_so(standing, session):
    def stop():
        stream = session.request("POST", "/", headers=[("content-type", "application/grpc")], end=False)
        session.data(stream, b"x").answer(stream)
    counts(standing, 'penstock_agent_caller_timeouts_total{phase="body"}', stop)


def test_an_idle_connection_is_told_to_go(standing, session):
    def wait():
        assert session.answer(session.request()).status == 200
        assert session.until(GOAWAY).code == http2.NO_ERROR
        assert session.is_closed()
    counts(standing, 'penstock_agent_caller_timeouts_total{phase="idle"}', wait)


def test_a_caller_that_is_no_more_is_missed(standing, session):
    standing.script.answer = lambda connection, *_: connection.recv(1)
    stream = session.request(path="/said")
    probe = session.until(PING)
    session.send(frame(PING, 1, 0, probe.payload))
    assert session.until(PING) and session.until(RST_STREAM, stream) is None


# ---- too much

def reset_rapidly(session):
    return b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream, fields(*FIRST)) +
                    frame(RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL)) for stream in range(1, 1400, 2))


def break_rules(session):
    """Each of them after the last was reset: otherwise there would be too many at once."""
    for stream in range(1, 1400, 2):
        session.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, fields(*FIRST, ("te", "x"))))
        if session.until(RST_STREAM) is None:
            break
    return b""


def continue_endlessly(session):
    return frame(HEADERS, END_STREAM, 1, fields(*FIRST)) + b"".join(frame(CONTINUATION, 0, 1, fields(("x", "1")))
                                                                    for _ in range(20))


def unpack_hugely(session):
    """One entry of the table, then a byte for each time it is meant."""
    entry = b"\x40" + http2.text("x") + http2.text("a" * 4000)
    block = fields(*FIRST) + entry + b"\xbe" * 12000
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, block)


def repeat(*frames):
    return lambda session: frame(HEADERS, END_HEADERS, 1, fields((":method", "POST"), *FIRST[1:])) + b"".join(frames) * 2500


FLOODS = {
    "rapid reset": ("resets", reset_rapidly),
    "malformed": ("resets", break_rules),
    "continuation": ("continuations", continue_endlessly),
    "compression": ("fields", unpack_hugely),
    "ping": ("frames", repeat(frame(PING, 0, 0, bytes(8)))),
    "ping answers": ("frames", repeat(frame(PING, 1, 0, bytes(8)))),
    "settings": ("frames", repeat(frame(SETTINGS, 0, 0))),
    "priority": ("frames", repeat(frame(PRIORITY, 0, 1, bytes(4) + b"\1"))),
    "window": ("frames", repeat(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)))),
    "empty data": ("frames", repeat(frame(DATA, 0, 1))),
    "unknown": ("frames", repeat(frame(0xfe, 0, 0, b"x"))),
}


@pytest.mark.parametrize("kind,flood", FLOODS.values(), ids=FLOODS)
def test_floods_end_the_connection_and_are_counted(standing, session, kind, flood):
    def pour():
        try:
            session.send(flood(session))
        except ConnectionError:
            pass  # it ended in the middle
        ended = session.until(GOAWAY)
        assert ended is None or ended.code == http2.ENHANCE_YOUR_CALM
    counts(standing, f'penstock_agent_http2_floods_total{{kind="{kind}"}}', pour)


def test_requests_at_once_have_a_limit(standing, session):
    standing.script.answer = lambda connection, *_: connection.recv(1)
    for _ in range(session.settings[http2.MAX_CONCURRENT_STREAMS]):
        session.request(path="/said")
    session.request(path="/said")
    assert session.read_past(SETTINGS, WINDOW_UPDATE).kind in (RST_STREAM, GOAWAY)


def test_requests_at_once_on_all_connections_have_a_limit(start, tmp_path, controlplane, echo):
    gateway = Gateway(controlplane, start(Agent(tmp_path, controlplane, extra=["--connections-max", "2", "--workers", "1"])), echo)
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="ANY", match="PREFIX"))
    with Session(gateway.agent.port, HOST) as session:
        held = [session.request("POST", end=False) for _ in range(2)]
        refused = session.request("POST", end=False)
        assert session.until(RST_STREAM, refused).code == http2.REFUSED_STREAM
        assert session.data(held[0], b"x", end=True).answer(held[0]).status == 200
        assert session.answer(session.request()).status == 200
    until(lambda: gateway.agent.metric("penstock_agent_http2_refused_total") == 1, "the count")


# ---- the end

def test_a_drain_finishes_what_was_begun(start, tmp_path, controlplane, echo):
    gateway = Gateway(controlplane, start(Agent(tmp_path, controlplane)), echo)
    gateway.script = Script()
    gateway.group("g")
    gateway.publish(gateway.api("g/s", "/said", backend={"http": {"address": gateway.script.address}}))
    gateway.script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    answer, gateway.released = gateway.script.answer, False

    def slow(connection, head, rest):
        until(lambda: gateway.released, "the release", 20)
        return answer(connection, head, rest)
    gateway.script.answer = slow
    with Session(gateway.agent.port, HOST) as session:
        stream = session.request(path="/said")
        until(lambda: gateway.script.heads, "the request to reach the backend")
        gateway.agent.signal(signal.SIGTERM)
        first = session.until(GOAWAY)
        assert struct.unpack(">I", first.payload[:4])[0] == 0x7fffffff and first.code == http2.NO_ERROR
        assert struct.unpack(">I", session.until(GOAWAY).payload[:4])[0] == stream
        gateway.released = True
        answered = session.answer(stream)
        assert (answered.status, answered.body) == (200, b"ok")
        assert session.is_closed()
    assert gateway.agent.popen.wait(20) == 0
