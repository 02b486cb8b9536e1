"""Callers of HTTP/1.1 who say FIN: some have left, others only have nothing more to say."""
import json
import socket
import struct
import threading

import pytest

from lib.http1 import Connection
from lib.script import Script
from lib.wait import until

HOST = "g.example.com"
GET = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Slow(Script):
    """Says `first`, then the pieces of `rest` when it is told to; `gone` counts connections that ended before."""

    def __init__(self, first=b"", rest=OK):
        super().__init__()
        self.first, self.rest, self.told, self.gone, self.answer = first, rest, threading.Event(), 0, self.reply
        self.stays = True

    def reply(self, connection, _head, _rest):
        connection.sendall(self.first)
        connection.settimeout(0.02)
        while not self.told.is_set():
            try:
                self.gone += connection.recv(1) == b""
                return False
            except TimeoutError:
                pass
        connection.sendall(self.rest)
        return self.stays


@pytest.fixture
def slow(gateway):
    """A gateway whose backend may think for a minute."""
    backend = Slow()
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", backend={"http": {"address": backend.address, "timeout": "60s"}}))
    backend.port, backend.gateway = gateway.agent.port, gateway
    yield backend
    backend.told.set()
    backend.stop()


def last_line(gateway):
    return json.loads(until(lambda: gateway.agent.access_log.read_text(), "a line of the access log").splitlines()[-1])


def close(connection):
    connection.close()


def half_then_close(connection):
    connection.socket.shutdown(socket.SHUT_WR)
    connection.close()


def reset(connection):
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_then_reset(connection):
    connection.socket.shutdown(socket.SHUT_WR)
    reset(connection)


@pytest.mark.parametrize("leave", [close, half_then_close, reset, half_then_reset])
def test_who_leaves_is_missed_while_the_backend_thinks(slow, leave):
    connection = Connection(slow.port).send(GET)
    until(lambda: slow.heads, "the request to reach the backend")
    leave(connection)
    until(lambda: slow.gone == 1, "the call to be taken back")
    line = last_line(slow.gateway)
    assert line["status"] == 499 and "caller.gone" in line.values()


@pytest.mark.parametrize("leave", [close, reset])
def test_who_leaves_is_missed_while_a_stream_is_silent(slow, leave):
    slow.first = STREAM + b"2\r\nhi\r\n"
    connection = Connection(slow.port).send(GET)
    assert connection.file.readline().startswith(b"HTTP/1.1 200")
    leave(connection)
    until(lambda: slow.gone == 1, "the call to be taken back")
    assert "caller.gone" in last_line(slow.gateway).values()


def test_who_only_listens_is_answered_however_late(slow):
    """It is asked whether it still listens, by answers that mean nothing to it: after one second, and after three."""
    with Connection(slow.port) as connection:
        connection.send(GET).socket.shutdown(socket.SHUT_WR)
        assert [connection.read().status for _ in range(2)] == [100, 100]
        slow.told.set()
        answer = connection.read()
        assert (answer.status, answer.body) == (200, b"ok") and connection.is_closed()
    assert last_line(slow.gateway)["status"] == 200


def test_who_only_listens_to_a_stream_hears_all_of_it(slow):
    """There it is asked by zeros before the size of the next chunk."""
    slow.first, slow.rest = STREAM + b"2\r\nhi\r\n", b"5\r\nthere\r\n0\r\n\r\n"
    with Connection(slow.port) as connection:
        connection.send(GET).socket.shutdown(socket.SHUT_WR)
        while connection.file.readline() != b"\r\n":
            pass
        assert connection.file.read(7) == b"2\r\nhi\r\n"
        assert connection.file.read(2) == b"00"
        slow.told.set()
        assert connection.file.read().lstrip(b"0") == b"5\r\nthere\r\n0\r\n\r\n"


def test_a_stream_that_is_cut_behind_such_a_zero_is_not_taken_for_whole(slow):
    """A zero and the end of the connection is a last chunk to who is not strict, python's http.client among them."""
    slow.first, slow.rest, slow.stays = STREAM + b"2\r\nhi\r\n", b"", False
    with Connection(slow.port) as connection:
        connection.send(GET).socket.shutdown(socket.SHUT_WR)
        while connection.file.readline() != b"\r\n":
            pass
        assert connection.file.read(8) == b"2\r\nhi\r\n0"
        slow.told.set()
        with pytest.raises(ConnectionResetError):
            connection.file.read()
    until(lambda: last_line(slow.gateway)["reason"] == "upstream.cut", "the line")


def test_an_answer_with_a_length_that_is_cut_needs_no_reset(slow):
    """Which would take along what has not left yet."""
    slow.rest, slow.stays = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", False
    with Connection(slow.port) as connection:
        connection.send(GET).socket.shutdown(socket.SHUT_WR)
        assert connection.read().status == 100
        slow.told.set()
        said = connection.file.read()
        assert said.startswith(b"HTTP/1.1 200 OK\r\n") and said.endswith(b"\r\n\r\nhalf")


def test_who_cannot_be_asked_has_three_seconds(slow):
    with Connection(slow.port) as connection:
        connection.send(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n").socket.shutdown(socket.SHUT_WR)
        assert connection.is_closed()
    until(lambda: slow.gone == 1, "the call to be taken back")
    assert last_line(slow.gateway)["status"] == 499
