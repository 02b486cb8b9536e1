"""Callers and backends that are slow, half there, or take too much: each gets its answer, the connection closes where its
state is unsure, memory stays bounded, and nobody else notices."""
import os
import random
import socket
import statistics
import subprocess
import threading
import time

import pytest

from lib.gateway import Gateway
from lib.http1 import Connection, request
from lib.load import Load
from lib.process import PATIENCE
from lib.servers import Agent
from lib.wait import until

HOST = "g.example.com"
GET = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
POST = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100000\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HERD = 100  # of each kind


def publish(gateway, script, timeout="5s"):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/", method="ANY", match="PREFIX",
                                backend={"http": {"address": script.address, "timeout": timeout}}))
    return gateway


@pytest.fixture
def hasty(start, tmp_path, controlplane, script):
    """A gateway whose agent has one worker and little patience."""
    patience = f"{400 * PATIENCE}ms"
    agent = start(Agent(tmp_path, controlplane, extra=[
        "--workers", "1", "--connections-max", str(4 * HERD), "--head-timeout", patience, "--body-timeout", patience,
        "--write-timeout", patience, "--idle-timeout", f"{1600 * PATIENCE}ms"]))
    return publish(Gateway(controlplane, agent, script), script)


def timeouts(gateway, phase):
    return gateway.agent.metric(f'penstock_agent_caller_timeouts_total{{phase="{phase}"}}')


# ---- callers

def trickle(connection, text):
    """One byte after another, until the other side has had enough."""
    connection.socket.settimeout(0.05)
    for byte in text:
        try:
            connection.send(byte)
            if connection.socket.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    connection.socket.settimeout(20)


def test_a_head_that_comes_slowly_gets_408(hasty):
    with Connection(hasty.agent.port) as connection:
        trickle(connection, GET[:-4] + "\r\nX: 1" * 100)
        answer = connection.read()
        assert (answer.status, answer.header("Connection")) == (408, "close")
        assert connection.is_closed()
    until(lambda: timeouts(hasty, "head") == 1, "the count")


@pytest.mark.parametrize("said", [
    POST + "x" * 1000, POST.replace("Content-Length: 100000", "Transfer-Encoding: chunked") + "5\r\nab",
], ids=["length", "chunked"])
def test_a_body_that_stops_gets_408_and_the_backend_no_whole_request(hasty, script, said):
    ended = threading.Event()

    def wait_for_the_end(connection, _head, _rest):
        while connection.recv(65536):
            pass
        ended.set()
        return False
    script.answer = wait_for_the_end
    with Connection(hasty.agent.port) as connection:
        assert connection.send(said).read().status == 408
        assert connection.is_closed()
    assert ended.wait(20)
    until(lambda: timeouts(hasty, "body") == 1, "the count")


def test_who_reads_nothing_is_left(hasty, script):
    script.says(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n", bytes(1 << 24))
    with Connection(hasty.agent.port) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(GET)
        until(lambda: timeouts(hasty, "write") == 1, "the agent to leave")
    until(lambda: hasty.agent.metric("penstock_agent_upstream_connections") == 0, "the backend to be left, too")


def test_who_says_nothing_is_left_without_a_word(hasty, script):
    script.says(OK, keep=True)
    with Connection(hasty.agent.port) as silent, Connection(hasty.agent.port) as done:
        assert done.send(GET).read().body == b"ok"
        assert silent.is_closed() and done.is_closed()


def test_beyond_the_most_connections_there_is_503_and_the_others_go_on(hasty, script):
    script.says(OK, keep=True)
    with Connection(hasty.agent.port) as first:
        first.send(GET).read()
        crowd = [Connection(hasty.agent.port) for _ in range(4 * HERD - 1)]
        with Connection(hasty.agent.port) as late:
            assert late.read().status == 503 and late.is_closed()
        assert first.send(GET).read().body == b"ok"
        for connection in crowd:
            connection.close()
    until(lambda: request(hasty.agent.port, "/", HOST).status == 200, "room again")


def test_callers_leave_descriptors_to_backends_and_the_operations_port(start, tmp_path, controlplane, script):
    agent = Agent(tmp_path, controlplane, extra=["--workers", "1"])
    agent.command = ["prlimit", "--nofile=128:128", *agent.command]
    gateway = publish(Gateway(controlplane, start(agent), script), script)
    script.says(OK, keep=True)
    callers = [Connection(agent.port) for _ in range(200)]
    try:
        until(lambda: agent.metric("penstock_agent_connections_refused_total") == 200 - 64, "those beyond to be refused")
        assert callers[100].read().status == 503
        assert callers[0].send(GET).read().body == b"ok"  # its backend is connected to only now
        assert agent.metric("penstock_agent_accept_failures_total") == 0
    finally:
        for caller in callers:
            caller.close()


def test_half_open_callers_take_no_requests_along(hasty, script):
    """They have left, and the network has not told: what is written to them goes nowhere."""
    script.says(OK, keep=True)
    for _ in range(HERD):
        with Connection(hasty.agent.port) as connection:
            connection.send(GET).socket.shutdown(socket.SHUT_WR)
    until(lambda: hasty.agent.metric("penstock_agent_connections") == 0, "all of them to be gone")
    assert request(hasty.agent.port, "/", HOST).body == b"ok"


# ---- what others notice

class Herd:
    """Callers of every bad kind at once, again and again until the end."""

    def __init__(self, port):
        self.port, self.stopping = port, threading.Event()
        kinds = (self.slow_head, self.slow_body, self.no_reader, self.garbage)
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def slow_head(self, connection):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: g.exam")

    def slow_body(self, connection):
        connection.sendall(POST.encode() + b"x" * 500)

    def no_reader(self, connection):
        connection.sendall(f"GET /large HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() * 4)

    def garbage(self, connection):
        connection.sendall(bytes(random.randrange(256) for _ in range(200)) + b"\r\n\r\n")

    def run(self, kind):
        while not self.stopping.is_set():
            connections = []
            for _ in range(HERD // 2):
                try:
                    connection = socket.create_connection(("127.0.0.1", self.port), 5)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    kind(connection)
                    connections.append(connection)
                except OSError:
                    pass  # turned away
            self.stopping.wait(0.1)
            for connection in connections:
                connection.close()

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)


def serve(connection, head, _rest):
    if head.startswith(b"POST"):
        while connection.recv(65536):
            pass
        return False
    if b"/large" in head:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(2000000))
        return False
    connection.sendall(OK)
    return True


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def admitted(port):
    """A connection that has had its first answer: for a moment a herd may hold all there are (503)."""
    found = []

    def try_one():
        found.append(Connection(port, 20))
        answer = found[-1].send(GET).read()
        if answer and answer.status == 200:
            return True
        found.pop().close()
        return False
    until(try_one, "a connection")
    return found[-1]


def latencies(port, count):
    """Of so many requests, one at a time."""
    found = []
    with admitted(port) as connection:
        for _ in range(count):
            began = time.monotonic()
            assert connection.send(GET).read().body == b"ok"
            found.append(time.monotonic() - began)
    return found


def test_a_herd_of_bad_callers_costs_others_neither_time_nor_memory(hasty, script):
    script.answer = serve
    port, pid = hasty.agent.port, hasty.agent.pid
    calm = statistics.median(latencies(port, 300))
    herd = Herd(port)
    until(lambda: hasty.agent.metric("penstock_agent_connections") > HERD, "the herd to be there")
    first = resident_kib(pid)
    stormy = statistics.median(latencies(port, 300))
    until(lambda: hasty.agent.metric("penstock_agent_connections_accepted_total") > 6 * HERD, "the herd to have come again",
          60)
    last = resident_kib(pid)
    herd.end()
    assert stormy < max(10 * calm, 0.02), (calm, stormy)
    if PATIENCE == 1:  # sanitizers keep memory
        assert last < first + 20 * 1024 and last < 80 * 1024, (first, last)
    until(lambda: request(port, "/", HOST).body == b"ok", "an answer")


def test_slowhttptest_does_not_take_the_service_down(hasty, nginx):
    hasty.publish(hasty.api("g/a", "/", method="ANY", match="PREFIX", backend={"http": {"address": nginx.address}}))
    words = ["-H", "-c", 2 * HERD, "-r", 2 * HERD, "-i", 1, "-l", 3, "-u", f"http://127.0.0.1:{hasty.agent.port}/"]
    attack = subprocess.Popen(["slowhttptest", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    load = Load(hasty, 600, connections=8)
    attack.wait(60)
    load.end()
    assert timeouts(hasty, "head") > 0


# ---- backends

@pytest.fixture
def impatient(gateway, script):
    return publish(gateway, script, f"0.{3 * PATIENCE if PATIENCE == 1 else 9}s")


def be_silent(connection, _head, _rest):
    while connection.recv(65536):
        pass
    return False


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
                         ids=["nothing", "half a head", "an interim answer"])
def test_a_backend_that_never_answers_is_a_timeout(impatient, script, said):
    def answer(connection, head, rest):
        connection.sendall(said)
        return be_silent(connection, head, rest)
    script.answer = answer
    with Connection(impatient.agent.port) as connection:
        answer = connection.send(GET).read()
        answer = connection.read() if answer.status == 103 else answer
        assert (answer.status, answer.code) == (504, "APIG.0203")
        script.says(OK)
        assert connection.send(GET).read().body == b"ok"


def test_a_backend_that_stops_within_its_answer_cuts_it(impatient, script):
    def answer(connection, head, rest):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        return be_silent(connection, head, rest)
    script.answer = answer
    with Connection(impatient.agent.port) as connection:
        assert connection.send(GET).file.read().endswith(b"\r\n\r\nhello")


def test_a_backend_that_does_not_read_an_upload_costs_no_memory(impatient, script):
    released = threading.Event()
    script.answer = lambda *_: released.wait(20) and False
    before = resident_kib(impatient.agent.pid)
    uploads = [threading.Thread(target=lambda: statuses.append(request(
        impatient.agent.port, "/", HOST, method="POST", body=bytes(8 << 20)).status)) for _ in range(8)]
    statuses = []
    for upload in uploads:
        upload.start()
    for upload in uploads:
        upload.join(60)
    released.set()
    assert statuses == [504] * 8
    assert PATIENCE > 1 or resident_kib(impatient.agent.pid) < before + 16 * 1024


# ---- the log

def test_every_line_of_the_access_log_is_written_or_counted(start, tmp_path, controlplane, nginx):
    """Its reader takes nothing while requests come: what does not fit is lost, and told."""
    os.mkfifo(tmp_path / "agent.access.log")
    reader = os.open(tmp_path / "agent.access.log", os.O_RDWR | os.O_NONBLOCK)
    agent = start(Agent(tmp_path, controlplane, extra=["--workers", "2"]))
    gateway = Gateway(controlplane, agent, nginx)
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend={"http": {"address": nginx.address}}))
    load = Load(gateway, 600, connections=20)
    until(lambda: agent.metric("penstock_agent_access_log_dropped_total") > 100, "lines to be lost", 60)
    load.end()

    def told():
        names = ("access_log_lines_total", "access_log_dropped_total", 'requests_total{class="2xx"}')
        return [agent.metric(f"penstock_agent_{name}") for name in names]
    until(lambda: (now := told())[0] + now[1] == now[2], f"all requests to be in the log or counted: {told()}")
    lines, written = told()[0], 0

    def taken():
        nonlocal written
        try:
            written += os.read(reader, 1 << 20).count(b"\n")
        except BlockingIOError:
            pass
        return written == lines
    until(taken, f"{lines} lines")
    os.close(reader)
