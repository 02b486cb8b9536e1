"""Large answers, which pass from socket to socket: whole, in order, counted, to slow readers and from broken backends."""
import hashlib
import json
import random
import socket

import pytest

from lib.http1 import Connection
from lib.script import Script
from lib.wait import until

SIZES = {"small": 200, "edge": 32 * 1024, "odd": 100_003, "large": 10 * 1024 * 1024 + 1}
BODIES = {name: random.Random(name).randbytes(size) for name, size in SIZES.items()}


@pytest.fixture
def script():
    backend = Script()
    yield backend
    backend.stop()


def serve(connection, head, _rest):
    body = BODIES[head.split()[1].decode().strip("/")]
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    connection.sendall(body)
    return True


@pytest.fixture
def files(gateway, script):
    script.answer = serve
    gateway.group("files")
    gateway.publish(gateway.api("files/all", "/", match="PREFIX", backend={"http": {"address": script.address}}))
    return gateway


def get(connection, path, host):
    return connection.send(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n")


def test_bodies_of_all_sizes_on_one_connection(files):
    with Connection(files.agent.port) as connection:
        for name in [*BODIES, "small", "odd", "large", "small"]:
            answer = get(connection, name, files.host).read()
            assert answer.status == 200 and answer.body == BODIES[name]


def test_the_log_counts_what_passed(files):
    with Connection(files.agent.port) as connection:
        get(connection, "large", files.host)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.file.read(1)
        assert connection.file.read(SIZES["large"]) == BODIES["large"]
    line, = until(lambda: files.agent.access_log.read_text().splitlines(), "a line")
    assert json.loads(line)["bytes_out"] == len(head) + SIZES["large"]


def test_a_slow_reader_gets_all_of_it(files):
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.connect(("127.0.0.1", files.agent.port))
        caller.sendall(f"GET /large HTTP/1.1\r\nHost: {files.host}\r\nConnection: close\r\n\r\n".encode())
        digest, rest = hashlib.sha256(), b""
        while b"\r\n\r\n" not in rest:
            rest += caller.recv(100)
        digest.update(rest.split(b"\r\n\r\n", 1)[1])
        while data := caller.recv(3001):
            digest.update(data)
    assert digest.digest() == hashlib.sha256(BODIES["large"]).digest()


def test_a_caller_that_leaves_harms_nobody(files):
    for _ in range(20):
        with Connection(files.agent.port) as connection:
            get(connection, "large", files.host)
            connection.file.read(50_000)
    with Connection(files.agent.port) as connection:
        assert get(connection, "large", files.host).read().body == BODIES["large"]


def test_a_backend_that_is_cut_cuts_the_answer(gateway, script):
    script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", BODIES["large"][:400_000])
    gateway.group("cut")
    gateway.publish(gateway.api("cut/a", "/", backend={"http": {"address": script.address}}))
    with Connection(gateway.agent.port) as connection:
        answer = get(connection, "", gateway.host).read()
        assert answer.status == 200 and answer.body == BODIES["large"][:400_000]  # and then the end


def test_what_a_backend_says_behind_the_body_is_not_passed(gateway, script):
    script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 100003\r\n\r\n", BODIES["odd"], b"HTTP/1.1 200 OK\r\n\r\n", keep=True)
    gateway.group("more")
    gateway.publish(gateway.api("more/a", "/", backend={"http": {"address": script.address}}))
    with Connection(gateway.agent.port) as connection:
        for _ in range(5):
            assert get(connection, "", gateway.host).read().body == BODIES["odd"]
