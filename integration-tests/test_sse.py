"""Server-Sent Events: each one leaves as it comes, and the stream lives as long as it may be silent."""
import json
import queue
import threading
import zlib

import pytest

from lib.gateway import Gateway
from lib.http1 import Connection
from lib.http2 import DATA, END_STREAM, Session
from lib.script import Script
from lib.servers import Agent
from lib.wait import until

HOST = "g.example.com"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"


class Stream:
    """A backend that says an event when it is told: events.put(bytes), None for the end."""

    def __init__(self, script):
        self.events, self.script = queue.Queue(), script
        script.answer = self.answer

    def answer(self, connection, _head, _rest):
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while event := self.events.get(timeout=20):
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        connection.sendall(b"0\r\n\r\n")


@pytest.fixture
def stream():
    script = Script()
    yield Stream(script)
    script.stop()


def publish(gateway, stream, **more):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend={"http": {"address": stream.script.address, **more}}))
    return gateway


def begin(gateway, *lines):
    """The connection, with the head of the answer read."""
    connection = Connection(gateway.agent.port)
    connection.send("\r\n".join(["GET / HTTP/1.1", f"Host: {HOST}", *lines, "", ""]))
    head = list(iter(connection.file.readline, b"\r\n"))
    assert head[0].startswith(b"HTTP/1.1 200"), head
    return connection, b"".join(head).lower()


def chunk(connection):
    """The data of one chunk; b"" at the end."""
    data = connection.file.read(int(connection.file.readline(), 16))
    assert connection.file.readline() == b"\r\n"
    return data


def test_each_event_leaves_before_the_next_is_said(gateway, stream):
    connection, _ = begin(publish(gateway, stream))
    with connection:
        for number in range(100):
            stream.events.put(b"data: %d\n\n" % number)
            assert chunk(connection) == b"data: %d\n\n" % number
        stream.events.put(None)
        assert chunk(connection) == b""


def test_each_event_leaves_at_once_over_http2_too(gateway, stream):
    publish(gateway, stream)
    with Session(gateway.agent.port, HOST) as session:
        number = session.request()
        for count in range(100):
            stream.events.put(b"data: %d\n\n" % count)
            assert session.until(DATA, number).payload == b"data: %d\n\n" % count
        stream.events.put(None)
        assert session.until(DATA, number).flags & END_STREAM


def test_a_caller_that_takes_gzip_gets_each_event_at_once_too(gateway, stream):
    connection, head = begin(publish(gateway, stream), "Accept-Encoding: gzip")
    inflate = zlib.decompressobj(31).decompress if b"content-encoding: gzip" in head else bytes
    with connection:
        for number in range(3):
            event, got = b"data: %d %s\n\n" % (number, b"x" * 2000), b""
            stream.events.put(event)
            while len(got) < len(event):
                got += inflate(chunk(connection))
            assert got == event
        stream.events.put(None)


def test_events_may_come_seldom(start, controlplane, echo, stream, tmp_path):
    """Longer apart than the API's timeout; but not for ever."""
    agent = start(Agent(tmp_path, controlplane, extra=("--stream-idle-timeout", "1500ms")))
    gateway = publish(Gateway(controlplane, agent, echo), stream, timeout="0.5s")
    connection, _ = begin(gateway)
    with connection:
        threading.Timer(0.8, stream.events.put, [b": after a while\n\n"]).start()
        assert chunk(connection) == b": after a while\n\n"
        assert connection.file.read() == b""  # cut: no last chunk
    stream.events.put(None)
    line = until(lambda: agent.access_log.read_text().splitlines(), "the line")[-1]
    assert json.loads(line)["reason"] == "upstream.cut"
    until(lambda: agent.metric("penstock_agent_stream_timeouts_total") == 1, "the count")


def test_changes_do_not_end_a_stream(gateway, stream):
    connection, _ = begin(publish(gateway, stream))
    with connection:
        for number in range(5):
            gateway.publish(gateway.api("g/a", backend={"http": {"address": stream.script.address}}))
            stream.events.put(b"data: %d\n\n" % number)
            assert chunk(connection) == b"data: %d\n\n" % number
        stream.events.put(None)
        assert chunk(connection) == b""


def test_a_drain_waits_for_a_stream_and_cuts_it_at_the_end(start, controlplane, echo, stream, tmp_path):
    agent = start(Agent(tmp_path, controlplane, extra=("--drain-timeout", "1s")))
    connection, _ = begin(publish(Gateway(controlplane, agent, echo), stream))
    with connection:
        agent.signal(15)
        until(lambda: "draining" in agent.tail(), "the drain to begin")
        stream.events.put(b"data: still here\n\n")
        assert chunk(connection) == b"data: still here\n\n"
        assert connection.file.read() == b""
    stream.events.put(None)
    assert agent.popen.wait(20) == 0
