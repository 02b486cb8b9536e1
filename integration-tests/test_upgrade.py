"""A new binary on the same sockets (SIGUSR2): nobody notices, and one that is no good changes nothing."""
import base64
import os
import signal
import socket
import ssl
import threading

import pytest

from lib import http2
from lib.gateway import Gateway
from lib.http1 import Connection
from lib.load import Load
from lib.process import BIN, free_port
from lib.upgrade import Callers, ReplaceableAgent
from lib.wait import until
from lib.websocket import Client, EchoServer
from test_tls import is_resumed, resumable

CONNECTED = "penstock_agent_controlplane_connected"
FAILED = "penstock_agent_upgrades_failed_total"


def mock(text):
    return {"mock": {"body": base64.b64encode(text.encode()).decode()}}


@pytest.fixture
def upgradable(start, tmp_path, controlplane, echo):
    """upgradable(flags...): a gateway with one API, whose agent can be replaced."""
    def make(*flags):
        agent = start(ReplaceableAgent(tmp_path, controlplane, extra=flags))
        gateway = Gateway(controlplane, agent, echo)
        gateway.group("g")
        gateway.publish(gateway.api("g/a", backend=mock("one")))
        return gateway
    return make


def test_two_upgrades_under_load_lose_no_request(upgradable, nginx):
    gateway = upgradable("--workers", "2")
    gateway.publish(gateway.api("g/a", backend={"http": {"address": nginx.address}}))
    load, callers = Load(gateway, 600), Callers(gateway)
    pids = {gateway.agent.pid, gateway.agent.upgrade(), gateway.agent.upgrade()}
    callers.end()
    load.end()
    assert len(pids) == 3
    until(lambda: gateway.agent.metric(CONNECTED) == 1, "the new process to be connected")
    assert [agent["connected"] for agent in gateway.controlplane.list("agents")] == [True]


def test_workers_may_become_fewer_and_more_under_load(upgradable, nginx):
    gateway = upgradable("--workers", "3")
    gateway.publish(gateway.api("g/a", backend={"http": {"address": nginx.address}}))
    load, callers = Load(gateway, 600), Callers(gateway)
    for workers in (1, 4):
        gateway.agent.install_wrapper("--workers", str(workers))
        gateway.agent.upgrade()
    callers.end()
    load.end()


def test_callers_over_tls_notice_nothing_either(start, feeder, tmp_path, certificates):
    host = "g.example.com"
    issued = certificates.issue(host, f"DNS:{host}")
    feeder.prepare(
        {"certificate": {"name": "certificates/c", "certificate_pem": issued.cert.read_text(),
                         "private_key_pem": issued.key.read_text()}},
        {"group": {"name": "groups/g", "domains": [host],
                   "tls": [{"host": host, "certificates": ["certificates/c"], "min_version": 2}]}},
        {"route": {"name": "groups/g/apis/a@RELEASE", "group": "groups/g", "environment": "RELEASE", "method": "ANY",
                   "api": "groups/g/apis/a", "api_name": "a", "path": "/", "prefix": True, "http": True, "https": True,
                   "backend": {"mock": {"status": 200, "body": b"one"}}}})
    agent, port = ReplaceableAgent(tmp_path, feeder, extra=["--workers", "2"]), free_port()
    agent.command[agent.command.index("--listen") + 1] += f", 127.0.0.1:{port} tls"
    gateway = Gateway(None, start(agent), None)
    gateway.host = host
    context, agent.tls_port = ssl.create_default_context(cafile=certificates.ca), port
    callers, session = Callers(gateway, tls=(port, context)), resumable(agent, context, host)
    for _ in range(2):
        agent.upgrade()
        assert is_resumed(agent, context, session, host)  # its key is one that the first process has made
    callers.end()


@pytest.fixture
def held(upgradable, echo):
    """A gateway of one worker with an API whose backend answers when `leave` is set."""
    gateway = upgradable("--workers", "1")
    gateway.publish(gateway.api("g/slow", "/slow"))
    gateway.entered, gateway.leave = threading.Event(), threading.Event()

    def reply(request):
        gateway.entered.set()
        gateway.leave.wait(20)
        return 200, [], b"done"
    echo.reply = reply
    return gateway


def test_a_request_in_flight_ends_in_the_old_process(held):
    answers = []
    caller = threading.Thread(target=lambda: answers.append(held.call("/slow")))
    caller.start()
    assert held.entered.wait(20)
    old = held.agent.pid
    with Connection(held.agent.port, timeout=20) as idle:
        assert idle.send(f"GET / HTTP/1.1\r\nHost: {held.host}\r\n\r\n").read().body == b"one"
        held.agent.signal(signal.SIGUSR2)
        assert idle.read() is None  # the old worker drains
    assert held.agent.pid != old
    assert held.call().body == b"one" and held.agent.exit_status(old) is None
    held.leave.set()
    caller.join(20)
    assert answers[0].body == b"done" and answers[0].header("Connection") == "close"
    assert held.agent.wait_end(old) == 0


def test_a_stream_of_http2_ends_in_the_old_process(held):
    with http2.Session(held.agent.port, held.host) as session:
        stream = session.request(path="/slow")
        assert held.entered.wait(20)
        old = held.agent.pid
        held.agent.signal(signal.SIGUSR2)
        assert session.until(http2.GOAWAY).code == http2.NO_ERROR
        held.leave.set()
        assert session.answer(stream).body == b"done"
        assert session.is_closed()
    assert held.agent.wait_end(old) == 0
    with http2.Session(held.agent.port, held.host) as session:
        assert session.answer(session.request()).body == b"one"


def test_a_tunnel_goes_on_in_the_old_process(upgradable):
    gateway, server = upgradable(), EchoServer()
    gateway.publish(gateway.api("g/socket", "/socket", backend={"http": {"address": server.address}}))
    client, old = Client(gateway, "/socket"), gateway.agent.pid
    gateway.agent.signal(signal.SIGUSR2)
    gateway.agent.says("the new process serves")
    assert client.echo("still here") == "still here" and gateway.agent.exit_status(old) is None
    client.close()
    assert gateway.agent.wait_end(old) == 0
    server.stop()


def test_changes_reach_the_new_process(upgradable):
    gateway = upgradable()
    gateway.agent.upgrade()
    gateway.publish(gateway.api("g/a", backend=mock("two")))
    assert gateway.call().body == b"two"


def test_what_was_published_before_is_served_from_the_first_request_on(upgradable):
    gateway = upgradable()
    for number in range(3):
        gateway.publish(gateway.api("g/a", backend=mock(str(number))))
        gateway.agent.signal(signal.SIGUSR2)
        gateway.agent.says("the new process serves", count=number + 1)
        assert gateway.call().body == str(number).encode()
        gateway.agent.says("agent", '"drained"', count=number + 1)


def test_without_a_cache_it_waits_for_the_control_plane(upgradable):
    gateway = upgradable("--cache-dir", "")
    gateway.controlplane.stop()
    old = gateway.agent.pid
    gateway.agent.signal(signal.SIGUSR2)
    gateway.agent.says("upgrade", "a new process starts")
    assert gateway.call().body == b"one" and gateway.agent.pid == old
    gateway.controlplane.start()
    until(lambda: gateway.agent.pid != old, "the new process to serve")
    assert gateway.agent.wait_end(old) == 0
    assert gateway.call().body == b"one"


@pytest.mark.parametrize("lines,reason", [
    (["exit 3"], "ended with status 3"),
    (["kill -SEGV $$"], "ended by signal 11"),
    (["exec sleep 100"], "not ready in time"),
    ([f'PENSTOCK_LISTEN_FDS=0 exec {BIN}/penstock-agent "$@"'], "ended with status 2"),
])
def test_a_binary_that_is_no_good_changes_nothing(upgradable, lines, reason):
    gateway = upgradable("--upgrade-timeout", "1s")
    callers, old = Callers(gateway), gateway.agent.pid
    gateway.agent.install_script(*lines)
    gateway.agent.signal(signal.SIGUSR2)
    gateway.agent.says("failed, this process goes on", reason)
    gateway.publish(gateway.api("g/a", backend=mock("two")))  # the old one is still told
    callers.end()
    assert gateway.call().body == b"two" and gateway.agent.pid == old and gateway.agent.metric(FAILED) == 1


def test_a_missing_binary_changes_nothing_and_the_next_one_works(upgradable):
    gateway = upgradable()
    gateway.agent.program.rename(gateway.agent.program.with_suffix(".away"))
    gateway.agent.signal(signal.SIGUSR2)
    gateway.agent.says("failed, this process goes on", "No such file")
    gateway.agent.program.with_suffix(".away").rename(gateway.agent.program)
    gateway.agent.upgrade()
    assert gateway.call().body == b"one"


@pytest.fixture
def gate(tmp_path):
    """A pipe that a new process waits for; writing opens it."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


def test_a_second_signal_is_refused_while_one_is_under_way(upgradable, gate):
    gateway = upgradable()
    gateway.agent.install_wrapper(before=f"read go <{gate}")
    old = gateway.agent.pid
    gateway.agent.signal(signal.SIGUSR2)
    gateway.agent.says("upgrade", "a new process starts")
    gateway.agent.signal(signal.SIGUSR2)
    gateway.agent.says("refused", "an upgrade is under way")
    gate.write_text("go\n")
    until(lambda: gateway.agent.pid != old, "the new process to serve")
    assert gateway.agent.wait_end(old) == 0


def test_the_end_of_the_old_process_ends_the_new_one_too(upgradable, gate):
    gateway = upgradable()
    gateway.agent.install_wrapper(before=f"read go <{gate}")
    gateway.agent.signal(signal.SIGUSR2)
    new = int(gateway.agent.says("a new process starts")[0].split('"pid":')[1].rstrip("}"))
    assert gateway.agent.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(new, 0)
    assert not gateway.agent.pid_file.exists()


def test_an_old_process_that_dies_is_replaced_all_the_same(upgradable, gate):
    gateway = upgradable()
    gateway.agent.install_wrapper(before=f"read go <{gate}")
    old = gateway.agent.pid
    gateway.agent.signal(signal.SIGUSR2)
    gateway.agent.says("upgrade", "a new process starts")
    gateway.agent.signal(signal.SIGKILL)
    assert gateway.agent.wait_end(old) == -signal.SIGKILL
    gate.write_text("go\n")
    until(lambda: gateway.agent.pid != old and gateway.call().body == b"one", "the new process to serve")


def test_systemd_is_told(upgradable, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        gateway = upgradable()
        assert manager.recv(100) == b"READY=1"
        new = gateway.agent.upgrade()
        assert {manager.recv(100), manager.recv(100)} == {b"READY=1", f"MAINPID={new}".encode()}
        gateway.agent.stop()
        assert manager.recv(100) == b"STOPPING=1"
