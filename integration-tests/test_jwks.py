"""Keys that an issuer publishes at a URL: fetched, kept, rotated, and what comes of an identity provider that fails."""
import http.server
import json
import ssl
import threading
import time

import grpc
import pytest

from lib.admin import Admin
from lib.process import http_text
from lib.servers import ControlPlane
from lib.wait import until
from test_jwt import ISSUER, KEYS, jwks, token


class Provider:
    """An identity provider, over HTTPS where it has a certificate. `status`, `headers` and `body` are what it answers, once
    `go` is set."""

    def __init__(self, certificate, listen=("127.0.0.1", 0)):
        self.asked, self.status, self.headers, self.body, self.go = 0, 200, {}, jwks(one=KEYS["rsa"]), threading.Event()
        self.go.set()
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.asked += 1
                provider.go.wait(30)
                body = provider.body.encode()
                self.send_response(provider.status)
                for name, value in provider.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(listen, Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


class World:
    def __init__(self, start, folder, stubs, certificates):
        self.start, self.folder, self.stubs, self.certificates = start, folder, stubs, certificates
        self.certificate = certificates.issue("id", "IP:127.0.0.1")
        self.providers, self.opened = [], []

    def provider(self, certificate=None, **more):
        self.providers.append(Provider(certificate or self.certificate, **more))
        return self.providers[-1]

    def plane(self, port, environment=(), **more):
        file = self.folder / "credentials.json"
        issuer = {"issuer": ISSUER, "audiences": ["penstock"], "jwksUri": f"https://127.0.0.1:{port}/keys",
                  "jwksCaFile": str(self.certificates.ca), "grants": [{"role": "viewer"}], **more}
        file.write_text(json.dumps({"issuers": [issuer]}))
        self.controlplane = ControlPlane(self.folder, extra=("--credentials-file", file))
        self.controlplane.command = ["env", *environment, *self.controlplane.command]
        return self.start(self.controlplane)

    def code(self, shown):
        """What a call with that token comes to."""
        admin = Admin(self.stubs, grpc.insecure_channel(self.controlplane.address))
        self.opened.append(admin)
        request, call = admin.method("ListApiGroups")
        try:
            call(request(), metadata=[("authorization", f"Bearer {shown}")], timeout=20)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name

    def failures(self):
        text = http_text(f"{self.controlplane.ops}/metrics")
        return int(float(text.split("\npenstock_controlplane_jwks_fetch_failures_total ")[1].split()[0]))


@pytest.fixture
def world(start, tmp_path, stubs, certificates):
    made = World(start, tmp_path, stubs, certificates)
    yield made
    for admin in made.opened:
        admin.close()
    for provider in made.providers:
        provider.stop()


def test_keys_are_fetched_and_rotate(world):
    provider = world.provider()
    world.plane(provider.port)
    until(lambda: world.code(token(kid="one")) == "OK", "the keys to come")
    asked = provider.asked
    assert world.code(token("other", kid="one")) == "UNAUTHENTICATED"      # a wrong signature is no reason to ask
    provider.body = jwks(one=KEYS["rsa"], two=KEYS["other"])
    until(lambda: world.code(token("other", kid="two")) == "OK", "a key that was new to be fetched", 30)
    assert provider.asked == asked + 1
    provider.body = jwks(two=KEYS["other"])
    until(lambda: world.code(token("ec", "ES256", kid="three")) == "UNAUTHENTICATED" and provider.asked == asked + 2, "a look", 30)
    until(lambda: world.code(token(kid="one")) == "UNAUTHENTICATED", "the old key to be refused")


def test_unknown_keys_do_not_flood_the_provider(world):
    provider = world.provider()
    world.plane(provider.port)
    until(lambda: world.code(token(kid="one")) == "OK", "the keys to come")
    began, before = time.monotonic(), provider.asked
    for number in range(200):
        assert world.code(token(kid=f"none{number}")) == "UNAUTHENTICATED"
    assert provider.asked - before <= 1 + (time.monotonic() - began) / 5


def test_a_provider_that_is_down_at_the_start(world, start):
    provider = world.provider()
    port = provider.port
    provider.stop()
    world.plane(port)
    assert world.code(token(kid="one")) == "UNAVAILABLE"
    until(lambda: world.failures() > 0, "a failure to be counted")
    world.provider(listen=("127.0.0.1", port))
    until(lambda: world.code(token(kid="one")) == "OK", "the keys to come", 30)


@pytest.mark.parametrize("status, body", [
    (500, "no"), (302, "{}"), (200, "{"), (200, '{"keys": []}'), (200, '{"keys": [{"kty": "oct", "k": "AAAA"}]}'),
    (200, " " * (256 * 1024 + 1))], ids=["500", "redirect", "no-json", "no-keys", "secret", "oversize"])
def test_what_is_no_answer_leaves_the_former_keys(world, status, body):
    provider = world.provider()
    world.plane(provider.port)
    until(lambda: world.code(token(kid="one")) == "OK", "the keys to come")
    provider.status, provider.body = status, body
    provider.headers = {"Location": f"https://127.0.0.1:{provider.port}/other"} if status == 302 else {}
    until(lambda: world.code(token(kid="new")) == "UNAUTHENTICATED" and world.failures() > 0, "a failure to be counted", 30)
    assert world.code(token(kid="one")) == "OK"
    assert "keeping the former" in world.controlplane.log.read_text()


def test_a_slow_provider_holds_up_nobody(world):
    provider = world.provider()
    provider.go.clear()
    world.plane(provider.port)
    until(lambda: provider.asked, "the provider to be asked")
    assert {world.code(token(kid="one")) for _ in range(20)} == {"UNAVAILABLE"}  # and not DEADLINE_EXCEEDED
    assert world.code("no token") == "UNAUTHENTICATED"
    assert world.controlplane.stop() == 0


def test_a_provider_with_another_certificate_is_not_believed(world, certificates, tmp_path):
    from lib.certificates import Authority
    folder = tmp_path / "other"
    folder.mkdir()
    provider = world.provider(Authority(folder).issue("id", "IP:127.0.0.1"))
    world.plane(provider.port)
    until(lambda: world.failures() > 0, "a failure to be counted")
    assert provider.asked == 0 and world.code(token(kid="one")) == "UNAVAILABLE"


def test_what_is_on_this_machine_is_asked_without_a_proxy(world):
    world.providers.append(Provider(None))
    port = world.providers[-1].port
    world.plane(port, jwksUri=f"http://127.0.0.1:{port}/keys", environment=("http_proxy=http://127.0.0.1:1",))
    until(lambda: world.code(token(kid="one")) == "OK", "the keys to come")


@pytest.mark.parametrize("more, complaint", [
    ({"jwksUri": "http://id.example.com/keys"}, "jwksUri: must be an https:// URL"), ({"jwksUri": "https://"}, "jwksUri: must be"),
    ({"jwksUri": "https://ann:secret@id.example.com/"}, "without user or password"), ({"jwksUri": "file:///etc/passwd"}, "jwksUri: must be"),
    ({"jwksFile": "jwks.json"}, "jwksUri: not with jwksFile"), ({"jwksUri": "http://127.0.0.1.example.com/"}, "jwksUri: must be")])
def test_what_is_no_place_for_keys(world, more, complaint):
    with pytest.raises(AssertionError):
        world.plane(1, **more)
    assert complaint in (world.folder / "controlplane.log").read_text()
