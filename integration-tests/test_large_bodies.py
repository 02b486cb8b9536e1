"""Large bodies, which pass from socket to socket: whole, in order, counted, to slow readers and from broken peers."""
import hashlib
import json
import random
import socket
import threading

import pytest

from lib.http1 import Connection
from lib.wait import until

SIZES = {"small": 200, "edge": 32 * 1024, "odd": 100_003, "large": 10 * 1024 * 1024 + 1}
BODIES = {name: random.Random(name).randbytes(size) for name, size in SIZES.items()}


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


def test_heads_may_grow_and_shrink_between_them(gateway, script):
    """Of an answer behind a large one, as much is read first as that one's head was long."""
    lengths = [0, 0, 1, 63, 64, 65, 20_000, 0, 5_000, 64, 3, 0]

    def answer(connection, head, _rest):
        number = int(head.split()[1].strip(b"/"))
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" if number % 3 == 2 else b""
        pad = b"X: %s\r\n" % (b"x" * lengths[number])
        body = BODIES["odd"] if number != 6 else b""
        connection.sendall(interim + b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (pad, len(body)) + body)
        return True
    script.answer = answer
    gateway.group("files")
    gateway.publish(gateway.api("files/all", "/", match="PREFIX", backend={"http": {"address": script.address}}))
    with Connection(gateway.agent.port) as connection:
        for number, length in enumerate(lengths):
            got = get(connection, number, gateway.host).read()
            while got.status == 103:
                got = connection.read()
            assert len(got.header("x")) == length and got.body == (BODIES["odd"] if number != 6 else b"")
    until(lambda: gateway.agent.metric("penstock_agent_spliced_bytes_total") > 4 * SIZES["odd"], "the metric")


def test_they_pass_without_a_copy(files):
    with Connection(files.agent.port) as connection:
        for name in BODIES:
            get(connection, name, files.host).read()
    until(lambda: files.agent.metric("penstock_agent_spliced_bytes_total") > SIZES["large"] / 2, "the metric")


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


# Also what is a whole number of the pieces that bodies pass in.
@pytest.mark.parametrize("size", [64 * 1024, 100_003, 128 * 1024, 256 * 1024, 512 * 1024])
def test_what_a_backend_says_behind_the_body_is_not_passed(gateway, script, size):
    def answer(connection, _head, _rest):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        connection.sendall(BODIES["large"][:size] + b"HTTP/1.1 200 OK\r\n\r\n")
        return True
    script.answer = answer
    gateway.group("more")
    gateway.publish(gateway.api("more/a", "/", backend={"http": {"address": script.address}}))
    with Connection(gateway.agent.port) as connection:
        for _ in range(5):
            assert get(connection, "", gateway.host).read().body == BODIES["large"][:size]


def take(connection, head, rest):
    """Answers with the digest of the upload."""
    length, digest = int(dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])[b"Content-Length"]), hashlib.sha256(rest)
    got = len(rest)
    while got < length:
        data = connection.recv(1 << 20)
        if not data:
            return False
        digest.update(data)
        got += len(data)
    text = f"{got} {digest.hexdigest()}".encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
    return True


def digest_of(name):
    return f"{SIZES[name]} {hashlib.sha256(BODIES[name]).hexdigest()}".encode()


@pytest.fixture
def uploads(gateway, script):
    script.answer = take
    gateway.group("uploads")
    gateway.publish(gateway.api("uploads/all", "/", match="PREFIX", method="POST",
                                backend={"http": {"address": script.address}}))
    return gateway


def post(connection, name, host, *fields):
    lines = "".join(f"{field}\r\n" for field in fields)
    return connection.send(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {SIZES[name]}\r\n{lines}\r\n")


def test_uploads_of_all_sizes_on_one_connection(uploads):
    with Connection(uploads.agent.port) as connection:
        for name in [*BODIES, "small", "odd", "large", "small"]:
            post(connection, name, uploads.host).socket.sendall(BODIES[name])
            assert connection.read().body == digest_of(name)
    until(lambda: uploads.agent.metric("penstock_agent_spliced_bytes_total") > SIZES["large"], "the metric")
    lines = until(lambda: (got := uploads.agent.access_log.read_text().splitlines())[7:] and got, "all lines")
    line = json.loads(lines[3])
    assert 0 < line["bytes_in"] - SIZES["large"] < 200


def test_an_upload_waits_for_a_backend_that_reads_slowly(uploads, script):
    holds = threading.Event()

    def slow(connection, head, rest):
        assert holds.wait(20)
        return take(connection, head, rest)
    script.answer = slow
    with Connection(uploads.agent.port) as connection:
        post(connection, "large", uploads.host)
        sender = threading.Thread(target=connection.socket.sendall, args=(BODIES["large"],))
        sender.start()
        until(lambda: len(script.heads) == 1, "the head to arrive")
        holds.set()
        assert connection.read().body == digest_of("large")
        sender.join()


def test_an_upload_that_is_cut_is_cut_for_the_backend(uploads, script):
    ends = []
    script.answer = lambda connection, head, rest: ends.append(take(connection, head, rest))
    for _ in range(5):
        with Connection(uploads.agent.port) as connection:
            post(connection, "large", uploads.host).socket.sendall(BODIES["large"][:700_000])
            until(lambda: uploads.agent.metric("penstock_agent_upstream_connections") == 1, "the backend to be asked")
        until(lambda: uploads.agent.metric("penstock_agent_upstream_connections") == 0, "its connection to close")
    until(lambda: ends == [False] * 5, "the backend to see the end")


def test_a_backend_may_answer_before_it_has_read_an_upload(uploads, script):
    script.says(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
    for _ in range(5):
        with Connection(uploads.agent.port) as connection:
            post(connection, "large", uploads.host).socket.sendall(BODIES["large"][:200_000])
            answer = connection.read()
            assert answer.status in (413, 502)  # 502: the backend's reset overtook its answer
    script.answer = take
    with Connection(uploads.agent.port) as connection:
        post(connection, "odd", uploads.host).socket.sendall(BODIES["odd"])
        assert connection.read().body == digest_of("odd")


def test_an_upload_may_be_the_last_that_its_caller_says(uploads):
    with Connection(uploads.agent.port) as connection:
        post(connection, "odd", uploads.host).socket.sendall(BODIES["odd"])
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read().body == digest_of("odd")


def test_what_follows_an_upload_is_the_next_request(uploads):
    with Connection(uploads.agent.port) as connection:
        post(connection, "odd", uploads.host).socket.sendall(
            BODIES["odd"] + f"POST / HTTP/1.1\r\nHost: {uploads.host}\r\nContent-Length: 200\r\n\r\n".encode() + BODIES["small"])
        assert connection.read().body == digest_of("odd")
        assert connection.read().body == digest_of("small")


def test_an_upload_waits_to_be_asked_for(uploads):
    with Connection(uploads.agent.port) as connection:
        post(connection, "odd", uploads.host, "Expect: 100-continue")
        assert connection.read().status == 100
        connection.socket.sendall(BODIES["odd"])
        assert connection.read().body == digest_of("odd")
