"""Answers compressed for callers that accept it."""
import base64
import gzip
import json
import socket
import struct
import subprocess
import zlib

import pytest

from lib.gateway import Gateway
from lib.http1 import Connection
from lib.script import Script
from lib.servers import Agent
from lib.wait import until

JSON = json.dumps([{"name": f"item {number}", "price": number} for number in range(200)]).encode()
ACCEPT = [("Accept-Encoding", "gzip, deflate, br")]


@pytest.fixture
def gateway(start, tmp_path, controlplane, echo):
    made = Gateway(controlplane, start(Agent(tmp_path, controlplane, extra=["--gzip", "--workers", "1"])), echo)
    made.group("g")
    made.publish(made.api("g/a", "/", method="ANY", match="PREFIX"))
    return made


def says(gateway, body, *headers, status=200):
    gateway.backend.reply = lambda request: (status, [("Content-Type", "application/json"), *headers], body)


def test_a_listed_type_is_compressed(gateway):
    says(gateway, JSON, ("ETag", '"v1"'), ("Accept-Ranges", "bytes"))
    answer = gateway.call(headers=ACCEPT)
    assert gzip.decompress(answer.body) == JSON and len(answer.body) < len(JSON) / 4
    assert (answer.header("Content-Encoding"), answer.header("Vary"), answer.header("ETag")) == ("gzip", "Accept-Encoding", 'W/"v1"')
    assert answer.header("Content-Length") is None and answer.header("Accept-Ranges") is None
    ratio = json.loads(until(lambda: gateway.agent.access_log.read_text(), "the log"))["gzip_ratio"]
    assert abs(ratio - len(JSON) / len(answer.body)) < 0.02
    until(lambda: gateway.agent.metric("penstock_agent_gzip_bytes_in_total") == len(JSON), "the count")


def test_who_does_not_accept_it_gets_it_as_it_is(gateway):
    says(gateway, JSON, ("ETag", '"v1"'))
    for accept in ([], [("Accept-Encoding", "br")], [("Accept-Encoding", "gzip;q=0, *")]):
        answer = gateway.call(headers=accept)
        assert (answer.body, answer.header("Content-Encoding"), answer.header("ETag")) == (JSON, None, '"v1"')
        assert answer.header("Vary") == "Accept-Encoding"


@pytest.mark.parametrize("body,headers,status", [
    (b"a" * 1024, [], 200), (JSON, [("Content-Encoding", "br")], 200), (JSON, [("Cache-Control", "public, no-transform")], 200),
    (JSON, [("Content-Range", "bytes 0-9/99")], 206),
], ids=["short", "coded", "no-transform", "part"])
def test_what_stays_as_it_is(gateway, body, headers, status):
    says(gateway, body, *headers, status=status)
    answer = gateway.call(headers=ACCEPT)
    assert (answer.status, answer.body, answer.header("Vary")) == (status, body, None)


def test_other_types_and_answers_without_a_body(gateway):
    gateway.backend.reply = lambda request: (200, [("Content-Type", "image/png")], JSON)
    assert gateway.call(headers=ACCEPT).body == JSON
    says(gateway, JSON)
    head = gateway.call(method="HEAD", headers=ACCEPT)
    assert (head.body, head.header("Content-Encoding"), head.header("Vary")) == (b"", None, "Accept-Encoding")


def test_large_answers_and_answers_to_http_1_0(gateway):
    big = JSON * 300
    says(gateway, big)
    assert gzip.decompress(gateway.call(headers=ACCEPT).body) == big
    with Connection(gateway.agent.port) as connection:
        connection.send(f"GET / HTTP/1.0\r\nHost: {gateway.host}\r\nAccept-Encoding: gzip\r\n\r\n")
        assert gzip.decompress(connection.read().body) == big


def test_callers_of_http_2(gateway):
    says(gateway, JSON * 30)
    url = f"http://{gateway.host}:{gateway.agent.port}/"
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-H", "Accept-Encoding: gzip", "-D", "-", "-o", "-", url,
                           "--resolve", f"{gateway.host}:{gateway.agent.port}:127.0.0.1"], capture_output=True, timeout=20)
    head, body = done.stdout.split(b"\r\n\r\n", 1)
    assert b"content-encoding: gzip" in head and b"content-length" not in head, done
    assert gzip.decompress(body) == JSON * 30


def test_mocks_are_compressed_as_well(gateway):
    mock = {"status": 200, "body": base64.b64encode(JSON).decode(), "headers": [{"name": "Content-Type", "value": "application/json"}]}
    gateway.publish(gateway.api("g/m", "/mock", backend={"mock": mock}))
    assert gzip.decompress(gateway.call("/mock", headers=ACCEPT).body) == JSON


@pytest.fixture
def stream(gateway):
    """An answer that begins and does not end."""
    backend = Script()
    backend.says(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", keep=True)
    gateway.publish(gateway.api("g/s", "/stream", backend={"http": {"address": backend.address}}))
    yield f"GET /stream HTTP/1.1\r\nHost: {gateway.host}\r\nAccept-Encoding: gzip\r\n\r\n"
    backend.stop()


def head(connection):
    lines = []
    while not lines or lines[-1] != b"\r\n":
        lines.append(connection.file.readline())
    return lines


def reset(connection):
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_piece_of_a_stream_leaves_when_it_is_there(gateway, stream):
    connection, inflate, seen = Connection(gateway.agent.port).send(stream), zlib.decompressobj(31), b""
    head(connection)
    while seen != b"first":
        seen += inflate.decompress(connection.file.read(int(connection.file.readline(), 16)))
        connection.file.readline()
    reset(connection)


def test_beyond_so_many_at_once_answers_stay_as_they_are(gateway, stream):
    connections = [Connection(gateway.agent.port).send(stream) for _ in range(66)]
    coded = [b"Content-Encoding: gzip\r\n" in head(connection) for connection in connections]
    assert coded.count(True) == 64
    for connection in connections:
        reset(connection)
    until(lambda: gateway.agent.metric("penstock_agent_gzip_limited_total") == 2, "the count")
    with Connection(gateway.agent.port) as connection:  # and what they had is there again
        assert b"Content-Encoding: gzip\r\n" in head(connection.send(stream))
        reset(connection)


def test_without_the_option_nothing_is_compressed(start, tmp_path, controlplane, echo):
    made = Gateway(controlplane, start(Agent(tmp_path, controlplane)), echo)
    made.group("g")
    made.publish(made.api("g/a", "/"))
    says(made, JSON)
    answer = made.call(headers=ACCEPT)
    assert (answer.body, answer.header("Vary")) == (JSON, None)
