"""The management API as JSON over HTTP: curl, raw bytes, and what gRPC says of the same."""
import hashlib
import json
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from lib.node import node
from lib.process import has_ipv6
from lib.servers import ControlPlane
from lib.wait import until

TYPE = "Content-Type: application/json"


class Curl:
    """curl toward one control plane; json(...) is the answer, which must be of the status."""

    def __init__(self, controlplane, *flags, scheme="http"):
        self.base, self.flags = f"{scheme}://127.0.0.1:{controlplane.http_port}", flags

    def __call__(self, method, path, body=None, status=200, flags=()):
        data = () if body is None else ("-H", TYPE, "--data-binary", body if isinstance(body, str) else json.dumps(body))
        done = subprocess.run(["curl", "-sS", "-g", "-m", "60", "-X", method, "-w", "\n%{http_code}", *self.flags, *flags, *data,
                               self.base + path], capture_output=True, text=True, check=True)
        text, code = done.stdout.rsplit("\n", 1)
        assert int(code) == status, f"{method} {path}: {done.stdout}"
        return json.loads(text)

    def refused(self, method, path, body=None, status=400, flags=()):
        return Error(self(method, path, body, status, flags)["error"])


class Error:
    def __init__(self, error):
        self.code, self.message, self.status = error["code"], error["message"], error["status"]
        details = {detail["@type"].rsplit(".", 1)[1]: detail for detail in error["details"]}
        self.reason, self.metadata = details["ErrorInfo"]["reason"], details["ErrorInfo"]["metadata"]
        self.fields = {v["field"]: v["description"] for v in details.get("BadRequest", {}).get("fieldViolations", [])}


@pytest.fixture
def curl(controlplane):
    return Curl(controlplane)


@pytest.fixture
def raw(controlplane):
    """raw(bytes): all that comes until the connection ends."""
    opened = []

    def send(data):
        opened.append(socket.create_connection(("127.0.0.1", controlplane.http_port), 20))
        opened[-1].sendall(data)
        answer = b""
        while got := opened[-1].recv(65536):
            answer += got
        return answer.decode()
    yield send
    for connection in opened:
        connection.close()


API = {"frontend": {"protocol": "PROTOCOL_HTTP", "method": "HTTP_METHOD_GET", "path": "/read"},
       "backend": {"http": {"address": "127.0.0.1:1"}}, "authentication": {"type": "AUTH_TYPE_NONE"}}


def test_the_life_of_an_api(curl, admin, agent):
    group = curl("POST", "/v1/groups?groupId=shop", {"displayName": "The shop", "labels": {"team": "a"}})
    assert group["name"] == "groups/shop" and group["labels"] == {"team": "a"}
    api = curl("POST", "/v1/groups/shop/apis?apiId=read", API)
    assert api["frontend"]["path"] == "/read"
    assert curl("GET", "/v1/groups/shop/apis/read") == api
    assert admin.GetApi(name="groups/shop/apis/read").etag == api["etag"]
    done = curl("POST", "/v1/groups/shop/apis/read:publish", {"description": "the first", "wait": "20s"})
    assert done["release"]["effective"] and done["rollout"]["applied"] == 1
    edited = curl("PATCH", "/v1/groups/shop/apis/read?updateMask=description", {"description": "new", "etag": api["etag"]})
    assert edited["description"] == "new" and edited["frontend"] == api["frontend"]
    assert curl.refused("DELETE", "/v1/groups/shop/apis/read").metadata == {"apig_code": "APIG.3416"}
    assert curl("POST", "/v1/groups/shop/apis:publish", {"parent": "groups/shop"})["succeeded"] == 1
    assert curl("POST", "/v1/groups/-/apis:unpublish", {"names": ["groups/shop/apis/read"]})["succeeded"] == 1
    assert [r["number"] for r in curl("GET", "/v1/groups/shop/apis/read/releases")["releases"]] == ["2", "1"]
    back = curl("POST", "/v1/groups/shop/apis/read/releases/RELEASE-1:rollback?validateOnly=true")
    assert back["release"]["name"].endswith("RELEASE-1")
    text = curl("GET", "/v1/releases:diff?source=groups/shop/apis/read/releases/RELEASE-1&target=groups/shop/apis/read")["text"]
    assert "description" in text
    assert curl("DELETE", "/v1/groups/shop/apis/read") == {}
    assert curl.refused("GET", "/v1/groups/shop/apis/read", status=404).status == "NOT_FOUND"


def test_pages(curl):
    for name in "abc":
        curl("POST", f"/v1/groups?groupId={name}")
    first = curl("GET", "/v1/groups?pageSize=2")
    rest = curl("GET", f"/v1/groups?pageSize=2&pageToken={first['nextPageToken']}")
    assert [g["name"][7:] for g in first["groups"] + rest["groups"]] == ["DEFAULT", "a", "b", "c"]
    assert "nextPageToken" not in rest


def test_errors_are_what_grpc_says(curl, admin):
    curl("POST", "/v1/groups?groupId=shop")
    for over_grpc, over_http in (
            (admin.refused("GetApiGroup", name="groups/nope"), curl.refused("GET", "/v1/groups/nope", status=404)),
            (admin.refused("CreateApiGroup", group_id="shop"), curl.refused("POST", "/v1/groups?groupId=shop", status=409)),
            (admin.refused("CreateApiGroup", group_id="-"), curl.refused("POST", "/v1/groups?groupId=-")),
            (admin.refused("DeleteApiGroup", name="groups/shop", etag='"1"'),
             curl.refused("DELETE", "/v1/groups/shop?etag=%221%22", status=409)),
            (admin.refused("ListApiGroups", page_token="x"), curl.refused("GET", "/v1/groups?pageToken=x")),
            (admin.refused("GetSignatureKey", name="signatureKeys/a"), curl.refused("GET", "/v1/signatureKeys/a", status=501)),
            (admin.refused("ResetAppSecret", name="apps/a"), curl.refused("POST", "/v1/apps/a:resetSecret", status=404)),
            (admin.refused("CreateApi", parent="groups/shop", api_id="a", api={"description": "x" * 2000}),
             curl.refused("POST", "/v1/groups/shop/apis?apiId=a", {"description": "x" * 2000}))):
        assert (over_grpc.code, over_grpc.message, over_grpc.reason, over_grpc.fields) == \
            (over_http.status, over_http.message, over_http.reason, over_http.fields)
        assert over_http.metadata == ({"apig_code": over_grpc.apig} if over_grpc.apig else {})


def test_the_secret_of_an_app_as_json(curl):
    made = curl("POST", "/v1/apps?appId=shop", {"description": "sells"})
    assert len(made["key"]) == 32 and len(made["secret"]) == 40 and "sealedSecret" not in made
    shown = curl("GET", "/v1/apps/shop")
    assert shown == {k: v for k, v in made.items() if k != "secret"}
    tried = curl("POST", "/v1/apps/shop:resetSecret", {"validateOnly": True})
    assert tried == {"key": made["key"]} and curl("GET", "/v1/apps/shop") == shown
    reset = curl("POST", "/v1/apps/shop:resetSecret", {"secret": "Chosen#secret"})
    assert (reset["key"], reset["secret"]) == (made["key"], "Chosen#secret")
    assert reset["etag"] == curl("GET", "/v1/apps/shop")["etag"] != made["etag"]
    assert curl.refused("POST", "/v1/apps/shop:resetSecret", {"etag": made["etag"]}, status=409).reason == "ETAG_MISMATCH"
    assert list(curl.refused("POST", "/v1/apps/shop:resetSecret", {"secret": "no good"}).fields) == ["secret"]


@pytest.mark.parametrize("path, body, field", [
    ("/v1/groups?groupId=g&nope=1", None, "nope"),
    ("/v1/groups?groupId=g", {"nope": 1}, "nope"),
    ("/v1/groups?groupId=g", {"displayName": 7}, "display_name"),
    ("/v1/groups/DEFAULT/apis?apiId=a", {"frontend": {"path": "/", "pathh": "/"}}, "frontend.pathh"),
    ("/v1/groups/DEFAULT/apis?apiId=a", {"frontend": {"method": "HTTP_METHOD_BREW"}}, "frontend.method"),
    ("/v1/groups?groupId=g&groupId=h", None, "groupId"),
    ("/v1/groups?groupId=g&validateOnly=yes", None, "validateOnly"),
])
def test_what_is_not_known_is_named(curl, path, body, field):
    assert field in curl.refused("POST", path, body).fields
    assert len(curl("GET", "/v1/groups")["groups"]) == 1


def test_what_is_not_json(curl):
    for body in ("{", "[]", "null,", '{"displayName": "\\ud800"}', '{"a":1,"a":2}', "[" * 3000, '{"labels":' * 3000, "\x01"):
        assert curl.refused("POST", "/v1/groups?groupId=g", body).status == "INVALID_ARGUMENT", body
    done = curl("POST", "/v1/groups?groupId=g", "{}", 415, flags=("-H", "Content-Type: text/plain"))
    assert "application/json" in done["error"]["message"]
    assert len(curl("GET", "/v1/groups")["groups"]) == 1


def test_paths_and_methods(curl):
    assert curl.refused("GET", "/", status=404).status == "NOT_FOUND"
    assert curl.refused("GET", "/v2/groups", status=404).status == "NOT_FOUND"
    assert curl.refused("GET", "/v1/groups/a/b/c/d", status=404).status == "NOT_FOUND"
    assert curl.refused("PUT", "/v1/groups/a", "{}", status=405).status == "UNIMPLEMENTED"
    head = subprocess.run(["curl", "-sS", "-I", curl.base + "/v1/groups"], capture_output=True, text=True, check=True).stdout
    assert head.startswith("HTTP/1.1 200") and "nosniff" in head and "Access-Control" not in head
    allow = subprocess.run(["curl", "-sS", "-i", "-X", "PUT", curl.base + "/v1/groups/a"], capture_output=True, text=True).stdout
    assert "Allow: GET, PATCH, DELETE" in allow


def test_bodies_have_a_limit(curl, controlplane, tmp_path):
    body = tmp_path / "body"
    for size, status in ((4 << 20, 400), ((4 << 20) + 1, 413)):
        start, end = b'{"description":"', b'"}'
        body.write_bytes(start + b"x" * (size - len(start) - len(end)) + end)
        error = curl.refused("POST", "/v1/groups?groupId=g", f"@{body}", status)
        assert error.status == ("INVALID_ARGUMENT" if status == 400 else "RESOURCE_EXHAUSTED")
    assert controlplane_metric(controlplane, 'http_refused_total{reason="too_large"}') == 1
    assert controlplane_metric(controlplane, "http_bodies_bytes") == 0


def controlplane_metric(controlplane, series):
    page = subprocess.run(["curl", "-sS", f"{controlplane.ops}/metrics"], capture_output=True, text=True, check=True).stdout
    return next(float(line.rsplit(" ", 1)[1]) for line in page.splitlines()
                if line.startswith(f"penstock_controlplane_{series} "))


POST = b"POST /v1/groups?groupId=g HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("head, status", [
    (b"Transfer-Encoding: chunked\r\n", 411),
    (b"Content-Length: 2\r\nContent-Length: 3\r\n", 400),
    (b"Content-Length: -2\r\n", 400),
    (b"Content-Length: 2x\r\n", 400),
    (b"Content-Length: 99999999999999999999\r\n", 400),
    (b"Content-Length: 4194305\r\n", 413),
    (b"Content-Length: 4194305\r\nExpect: 100-continue\r\n", 413),
    (b"Content-Length: 2\r\nContent-Encoding: gzip\r\nConnection: close\r\n", 415),
    (b"Content-Length: 2\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n", 400),
])
def test_framing_that_is_refused(raw, curl, head, status):
    answer = raw(POST + head + b"\r\n{}")
    assert answer.startswith(f"HTTP/1.1 {status} ") and "Connection: close" in answer and '"error"' in answer
    assert len(curl("GET", "/v1/groups")["groups"]) == 1


def test_framing_that_is_taken(raw, curl):
    close = b"Connection: close\r\n"
    assert raw(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n" + close + b"\r\n{}").startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
    pipelined = raw(b"GET /v1/groups HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1/apps HTTP/1.1\r\nHost: localhost\r\n" + close + b"\r\n")
    assert pipelined.count("HTTP/1.1 200") == 2
    for too_long in (b"X: " + b"x" * 20000, b"Authorization: Bearer " + b"x" * 20000, b"X: y\r\n" * 5000):
        assert raw(b"GET /v1/groups HTTP/1.1\r\nHost: localhost\r\n" + too_long + b"\r\n\r\n") == ""
    for upgrade in (b"h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", b"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="):
        assert raw(b"GET /v1/groups HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n") == ""
    assert curl("GET", "/v1/groups")


def test_pages_of_browsers_get_nothing(curl):
    for headers in (("Origin: http://evil.example",), ("Origin: null",), ("Host: evil.example",),
                    ("Host: evil.example:9442", "Origin: http://evil.example:9442"), ("Host: 127.evil.example",)):
        flags = [word for header in headers for word in ("-H", header)]
        assert curl.refused("POST", "/v1/groups?groupId=g", status=403, flags=flags).status == "PERMISSION_DENIED"
    assert len(curl("GET", "/v1/groups")["groups"]) == 1
    host = curl.base.removeprefix("http://")
    assert curl("POST", "/v1/groups?groupId=g", flags=("-H", f"Origin: http://{host}"))


ROLES = ("viewer", "operator", "administrator")
TOKENS = {role: f"the token of the {role}" for role in ROLES}


@pytest.fixture
def guarded(start, tmp_path, certificates):
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({
        "tokens": [{"sha256": hashlib.sha256(TOKENS[role].encode()).hexdigest(), "principal": f"a {role}", "role": role}
                   for role in ROLES],
        "certificates": [{"name": "alice", "principal": "Alice", "role": "operator"}], "agents": []}))
    server = certificates.issue("server")
    made = start(ControlPlane(tmp_path, extra=(
        "--credentials-file", file, "--tls-cert-file", server.cert, "--tls-key-file", server.key,
        "--tls-client-ca-file", certificates.ca, "--log-level", "debug")))
    made.certificate = server
    yield made
    log = made.log.read_text()
    assert not any(token in log for token in TOKENS.values())


def secure(controlplane, certificates, *flags):
    return Curl(controlplane, "--cacert", certificates.ca, *flags, scheme="https")


def test_who_may_call_is_decided_as_for_grpc(guarded, certificates):
    tokens = {role: secure(guarded, certificates, "-H", f"Authorization: Bearer {TOKENS[role]}") for role in ROLES}
    nobody = secure(guarded, certificates)
    assert nobody.refused("GET", "/v1/groups", status=401).status == "UNAUTHENTICATED"
    for authorization in ("Bearer made up", "Basic YTpi", "Bearer"):
        assert secure(guarded, certificates, "-H", f"Authorization: {authorization}").refused("GET", "/v1/groups", status=401)
    assert tokens["viewer"]("GET", "/v1/groups")
    refused = tokens["viewer"].refused("POST", "/v1/groups?groupId=a", status=403)
    assert refused.message == "CreateApiGroup needs the role operator, and a viewer is viewer"
    assert tokens["operator"]("POST", "/v1/groups?groupId=a")
    alice = certificates.issue("alice", "DNS:alice")
    pair = secure(guarded, certificates, "--cert", alice.cert, "--key", alice.key)
    assert pair("POST", "/v1/groups?groupId=b")
    assert '"principal":"Alice"' in guarded.log.read_text()
    bob = certificates.issue("bob", "DNS:bob")
    assert secure(guarded, certificates, "--cert", bob.cert, "--key", bob.key).refused("GET", "/v1/groups", status=401)
    head = subprocess.run(["curl", "-sS", "-i", *map(str, nobody.flags), nobody.base + "/v1/groups"], capture_output=True, text=True)
    assert "WWW-Authenticate: Bearer" in head.stdout


def test_a_certificate_of_another_authority_gets_no_connection(guarded, certificates, tmp_path):
    from lib.certificates import Authority
    other = Authority(tmp_path, "other")
    alice = other.issue("alice", "DNS:alice")
    done = subprocess.run(["curl", "-sS", "--cacert", certificates.ca, "--cert", alice.cert, "--key", alice.key,
                           f"https://127.0.0.1:{guarded.http_port}/v1/groups"], capture_output=True, text=True)
    assert done.returncode != 0 and not done.stdout


def test_certificates_change_while_it_runs(guarded, certificates, tmp_path):
    from lib.certificates import Authority
    other = Authority(tmp_path, "other")
    good = guarded.certificate.cert.read_bytes()
    guarded.certificate.cert.write_bytes(b"half of it")
    assert secure(guarded, certificates).refused("GET", "/v1/groups", status=401)
    guarded.certificate.cert.write_bytes(good)
    other.issue("server", cert=guarded.certificate)

    def is_served():
        context = ssl.create_default_context(cafile=other.ca)
        try:
            with socket.create_connection(("127.0.0.1", guarded.http_port), 5) as plain:
                with context.wrap_socket(plain, server_hostname="localhost"):
                    return True
        except ssl.SSLError:
            return False
    until(is_served, "the new certificate")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_write_is_an_audit_event(start, tmp_path, host):
    if host == "[::1]" and not has_ipv6():
        pytest.skip("no IPv6 here")
    plane = ControlPlane(tmp_path)
    plane.command[plane.command.index("--http-listen") + 1] = f"{host}:{plane.http_port}"
    curl = Curl(start(plane))
    curl.base = f"http://{host}:{plane.http_port}"
    curl("POST", "/v1/apps?appId=a", {"description": "x"})
    curl.refused("POST", "/v1/apps?appId=a", status=409)
    refused, made = curl("GET", "/v1/auditEvents?pageSize=2")["auditEvents"]
    assert made["method"] == "penstock.admin.v1.AppService/CreateApp" and made["resource"] == "apps/a"
    assert made["principal"] == "local" and made["sourceAddress"] == host.strip("[]")
    assert refused["code"] == 6


def test_its_description_is_openapi(curl, tmp_path, stubs):
    """An outside validator takes it; every operation in it is there, and so is every method that works."""
    file = tmp_path / "openapi.json"
    document = curl("GET", "/openapi.json")
    assert curl("GET", "/v1/openapi.json") == document
    file.write_text(json.dumps(document))
    judged = node("validate_openapi.js", file)
    assert judged["valid"], judged
    said = set()
    for path, operations in document["paths"].items():
        path = re.sub(r"{\w+}", "DEFAULT", path)
        for verb, operation in operations.items():
            said.add(operation["operationId"])
            if verb in ("get", "delete") and "watch" not in path:
                done = subprocess.run(["curl", "-sS", "-X", verb.upper(), curl.base + path], capture_output=True, text=True, check=True)
                assert "no such path" not in done.stdout and "HTTP method" not in done.stdout, (path, verb, done.stdout)
    assert {"GetApi", "PublishApi", "Watch", "CreateAppCode", "ResetAppSecret"} <= said and "GetSignatureKey" not in said
    api = document["components"]["schemas"]["Api"]["properties"]
    assert api["createTime"] == {"type": "string", "format": "date-time"} | api["createTime"]
    assert "Immutable" in api["name"]["description"] and api["publications"]["readOnly"]
    assert document["paths"]["/v1/groups/{group}/apis/{api}:publish"]["post"]["description"].startswith("Freezes the draft")


def test_a_call_under_way_is_answered_at_the_end(curl, controlplane, agent):
    """A publish waits for an agent that stands still; the end of the control plane ends the wait, not the call."""
    curl("POST", "/v1/groups?groupId=shop")
    curl("POST", "/v1/groups/shop/apis?apiId=read", API)
    agent.signal(signal.SIGSTOP)
    answer = {}
    waiting = threading.Thread(target=lambda: answer.update(curl("POST", "/v1/groups/shop/apis/read:publish", {"wait": "50s"})))
    waiting.start()
    until(lambda: curl("GET", "/v1/groups/shop/apis/read").get("publications"), "the publish to be written")
    controlplane.signal(signal.SIGTERM)
    waiting.join(30)
    assert answer["release"]["effective"] and not answer["rollout"].get("applied")
    until(lambda: not controlplane.is_running(), "the end")
    assert controlplane.popen.returncode == 0
    agent.signal(signal.SIGCONT)
