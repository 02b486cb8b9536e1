"""Every kind of caller at once, while configuration, certificates and the binary are replaced: no request fails."""
import queue
import signal
import ssl
import threading

import pytest

from lib.feeder import certificate
from lib.gateway import Gateway
from lib.load import Curl, Load
from lib.upgrade import Callers, ReplaceableAgent
from lib.wait import until
from lib.websocket import Client, EchoServer
from test_tls import HOST, Front, client, domain, group

grpc = pytest.importorskip("grpc")

from lib.grpc_peer import SERVICE, GrpcServer, calls  # noqa: E402

CHANGES, CERTIFICATES = 300, 10


class ReplaceableFront(ReplaceableAgent, Front):
    """Listens in the clear and over TLS."""


class Configuration:
    """What the agent is told: each change is one more answer of a mock and timeout of the backends, and now and then
    another certificate."""

    def __init__(self, feeder, backends, issued):
        """backends: by prefix of the path, as fields of HttpBackend; issued: certificates that replace each other."""
        self.feeder, self.backends, self.issued, self.number = feeder, backends, issued, 0

    def resources(self):
        self.number += 1
        issued = self.issued[self.number * len(self.issued) // (CHANGES + 1) % len(self.issued)]
        routes = [route(path, {"http": {"host": "127.0.0.1", "timeout_ms": 20000 + self.number, **backend}},
                        grpc=path == f"/{SERVICE}") for path, backend in self.backends.items()]
        return (certificate("a", issued), group(domain(HOST, "a")), *routes,
                route("/number", {"mock": {"status": 200, "body": b"%d" % self.number}}))

    def change(self):
        assert self.feeder.tell(*self.resources()) == []


def route(path, backend, **more):
    name = f"groups/g/apis/a{path.replace('/', '-').replace('.', '-').lower()}"
    return {"route": {"name": f"{name}@RELEASE", "group": "groups/g", "environment": "RELEASE", "api": name,
                      "api_name": path, "method": "ANY", "path": path, "prefix": True, "http": True, "https": True,
                      "backend": backend, **more}}


class Dialog:
    """A stream of gRPC on which both sides speak in turns."""

    def __init__(self, channel):
        self.said = queue.Queue()
        self.heard = calls(channel).bidi(iter(self.said.get, None), timeout=120)

    def echo(self, message):
        self.said.put(message.encode())
        return next(self.heard).decode()

    def close(self):
        self.said.put(None)
        assert list(self.heard) == []


class UnaryCallers:
    """Threads that call one after another, each on its own connection; errors are kept."""

    def __init__(self, open_channel, count=2):
        self.open, self.stopping, self.answers, self.failures = open_channel, threading.Event(), 0, []
        self.threads = [threading.Thread(target=self.call, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def call(self):
        with self.open() as channel:
            unary = calls(channel).unary
            while not self.stopping.is_set():
                try:
                    assert unary(b"x", timeout=20) == b"x"
                    self.answers += 1
                except grpc.RpcError as error:
                    self.failures.append(error)

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
        assert self.answers > 0 and self.failures == [], (self.answers, self.failures[:3])
        return self.answers


@pytest.fixture
def backends(nginx):
    """By prefix of the path: one of HTTP, one of WebSocket, one of gRPC."""
    socket, peer = EchoServer(), GrpcServer()
    yield {"/": {"port": nginx.port}, "/socket": {"port": socket.port}, f"/{SERVICE}": {"port": peer.port, "http2": True}}
    socket.stop()
    peer.stop()


@pytest.fixture
def configuration(feeder, backends, certificates):
    made = Configuration(feeder, backends, [certificates.issue(HOST, f"DNS:{HOST}") for _ in range(CERTIFICATES)])
    feeder.prepare(*made.resources())
    return made


@pytest.fixture
def gateway(start, tmp_path, configuration):
    made = Gateway(None, start(ReplaceableFront(tmp_path, configuration.feeder, extra=["--workers", "2"])), None)
    made.host = HOST
    return made


@pytest.fixture
def crowd(gateway, certificates, tmp_path):
    """All kinds of callers; the scenario ends them, and judges."""
    agent, ca = gateway.agent, certificates.ca
    options = [("grpc.default_authority", HOST), ("grpc.ssl_target_name_override", HOST), ("grpc.enable_retries", 0),
               ("grpc.use_local_subchannel_pool", 1)]
    keys = grpc.ssl_channel_credentials(ca.read_bytes())
    loads = {
        "HTTP/1.1 by wrk": Load(gateway, 600, connections=4),
        "HTTP/1.1": Callers(gateway, kept=1, fresh=1),
        "HTTPS": Callers(gateway, kept=1, fresh=1, tls=(agent.tls_port, client(certificates))),
        "HTTP/2 over TLS": Curl(tmp_path, HOST, agent.tls_port, ca),
        "gRPC": UnaryCallers(lambda: grpc.insecure_channel(f"127.0.0.1:{agent.port}", options)),
        "gRPC over TLS": UnaryCallers(lambda: grpc.secure_channel(f"127.0.0.1:{agent.tls_port}", keys, options))}
    yield loads
    for load in loads.values():  # those that a failure left behind
        load.process.kill() if hasattr(load, "process") else load.stopping.set()


@pytest.fixture
def standing(gateway):
    """WebSockets and streams that stay open."""
    with grpc.insecure_channel(f"127.0.0.1:{gateway.agent.port}", [("grpc.default_authority", HOST)]) as channel:
        yield [Client(gateway, "/socket") for _ in range(4)] + [Dialog(channel) for _ in range(2)]


def test_a_crowd_notices_nothing(gateway, configuration, crowd, standing):
    agent, pids = gateway.agent, [gateway.agent.pid]
    for change in range(1, CHANGES + 1):
        configuration.change()
        if change % (CHANGES // 5) == 0:
            assert all(one.echo(str(change)) == str(change) for one in standing)
        if change in (CHANGES // 3, CHANGES * 2 // 3):
            agent.signal(signal.SIGUSR2)
            until(lambda: agent.pid not in pids, "the new process to serve")
            pids.append(agent.pid)
    assert all(one.echo("to the end") == "to the end" for one in standing)
    for one in standing:
        one.close()
    for load in crowd.values():
        load.end()
    assert gateway.call("/number").body == b"%d" % configuration.number
    assert len(pids) == 3 and [agent.wait_end(pid) for pid in pids[:2]] == [0, 0]
