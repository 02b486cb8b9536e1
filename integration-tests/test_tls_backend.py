"""The gateway's own certificate toward backends, and whose certificates it takes there."""
import json
import socket
import ssl
import threading

import pytest

from lib.certificates import Authority
from lib.feeder import certificate
from lib.http1 import request
from lib.servers import Agent, Nginx
from lib.wait import until

HOST = "a.example.com"


@pytest.fixture
def gateways(tmp_path):
    """The authority of gateways' certificates; backends know it."""
    return Authority(tmp_path, "gateways")


@pytest.fixture
def backend(start, tmp_path, certificates, gateways):
    """nginx that says who calls it."""
    mine = certificates.issue("backend", "IP:127.0.0.1")
    nginx = Nginx(tmp_path, server=f"ssl_certificate {mine.cert}; ssl_certificate_key {mine.key}; "
                                   f"ssl_client_certificate {gateways.ca}; ssl_verify_client optional; "
                                   "location / { return 200 \"$ssl_client_verify $ssl_client_s_dn $connection\"; }")
    conf = tmp_path / "nginx/nginx.conf"
    conf.write_text(conf.read_text().replace(f"listen {nginx.address};", f"listen {nginx.address} ssl;"))
    return start(nginx)


@pytest.fixture
def agent(tmp_path, feeder, certificates, start):
    feeder.prepare({"group": {"name": "groups/g", "domains": [HOST]}})
    return start(Agent(tmp_path, feeder, extra=["--workers", "1", "--upstream-ca-file", certificates.ca]))


def serve(feeder, backend, *certificates, **apis):
    """An API at /NAME for each, which shows that certificate; None: none."""
    routes = [{"route": {
        "name": f"groups/g/apis/{name}@RELEASE", "group": "groups/g", "environment": "RELEASE",
        "api": f"groups/g/apis/{name}", "api_name": name, "method": "GET", "path": f"/{name}", "http": True,
        "backend": {"http": {"host": "127.0.0.1", "port": backend.port, "tls": True, "timeout_ms": 5000,
                             "certificate": f"certificates/{shown}" if shown else ""}}}} for name, shown in apis.items()]
    return feeder.tell(*certificates, {"group": {"name": "groups/g", "domains": [HOST]}}, *routes)


def call(agent, path):
    answer = request(agent.port, path, HOST)
    return answer.status, answer.body.decode() if isinstance(answer.body, bytes) else answer.body


def test_each_api_shows_its_certificate_over_connections_of_its_own(agent, feeder, backend, gateways):
    serve(feeder, backend, certificate("one", gateways.issue("one")), certificate("two", gateways.issue("two")),
          one="one", two="two", none=None)
    seen = [call(agent, path)[1].rsplit(" ", 1) for path in ("/one", "/two", "/none") * 3]
    assert [who for who, _ in seen] == ["SUCCESS CN=one", "SUCCESS CN=two", "NONE "] * 3
    assert len({connection for _, connection in seen}) == 3


def test_a_certificate_that_changes_is_shown_at_once(agent, feeder, backend, gateways):
    for name in ("before", "after"):
        serve(feeder, backend, certificate("mine", gateways.issue(name)), api="mine")
        assert call(agent, "/api")[1].startswith(f"SUCCESS CN={name} ")


def test_the_backend_must_be_of_the_certificates_authorities(agent, feeder, backend, gateways, certificates):
    mine = gateways.issue("mine")
    serve(feeder, backend, certificate("good", mine, certificates), certificate("bad", mine, gateways),
          good="good", bad="bad")
    assert call(agent, "/good")[0] == 200
    assert call(agent, "/bad")[0] == 502
    assert call(agent, "/good")[0] == 200
    until(lambda: agent.metric("penstock_agent_upstream_tls_failures_total") >= 1, "the count")


def test_an_api_waits_for_its_certificate(agent, feeder, backend, gateways):
    assert json.dumps(serve(feeder, backend, api="mine")).count("certificates/mine is not there") == 1
    serve(feeder, backend, certificate("mine", gateways.issue("mine")), api="mine")
    assert call(agent, "/api")[0] == 200


class Strict:
    """A backend that answers one request over TLS; `end` is what then ends the connection: b"", or an error."""

    def __init__(self, issued):
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        self.context.load_cert_chain(issued.cert, issued.key)
        self.listener, self.end = socket.create_server(("127.0.0.1", 0)), None
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        raw, _ = self.listener.accept()
        with self.context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False) as connection:
            connection.recv(10000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            try:
                self.end = connection.recv(1)
            except OSError as error:
                self.end = error


def test_an_end_is_announced_to_backends(tmp_path, start, feeder, certificates):
    backend = Strict(certificates.issue("strict", "IP:127.0.0.1"))
    feeder.prepare({"group": {"name": "groups/g", "domains": [HOST]}})
    agent = start(Agent(tmp_path, feeder, extra=["--upstream-ca-file", certificates.ca, "--upstream-idle-timeout", "200ms"]))
    serve(feeder, backend, api=None)
    assert call(agent, "/api") == (200, "ok")
    until(lambda: backend.end is not None, "the connection to end")
    assert backend.end == b""
    backend.listener.close()
