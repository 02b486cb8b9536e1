"""The debug tool: a draft before it is published, and what callers reach, with penstockctl and grpcio."""
import base64
import json
import subprocess

import pytest

from lib.script import Script

HOST = "g.example.com"


@pytest.fixture
def draft(gateway):
    """An API that is not published."""
    gateway.group("g", HOST)
    return gateway.api("g/a", "/orders/{id}", method="ANY")


def debug(gateway, *words, check=True):
    return gateway.controlplane.ctl("debug", "g/a", *words, check=check)


def test_a_draft_is_tried_before_callers_reach_it(gateway, draft):
    done = debug(gateway, "--path", "/orders/7", "--method", "put", "-H", "x-my-heaDer: v", "-q", "q=a b", "-d", "hello", "--https",
                 "--domain", HOST)
    seen = json.loads(done.stdout)
    assert (seen["method"], seen["path"], seen["body"]) == ("PUT", "/orders/7?q=a%20b", "hello")
    assert seen["headers"]["X-My-Header"] == "v" and seen["headers"]["User-Agent"] == "APIGatewayDebugClient/1.0"
    assert seen["headers"]["X-Forwarded-Host"] == HOST and seen["headers"]["X-Forwarded-Proto"] == "https"
    for line in ("* through agents/agent", "> PUT /orders/7?q=a%20b HTTP/1.1", "> X-Apig-Mode: debug", "< 200", "< X-Backend: echo",
                 "< X-Apig-Upstream-Latency: "):
        assert line in done.stderr, done.stderr
    assert gateway.call("/orders/7", HOST).status == 404  # callers see nothing of it
    assert "< 404" in debug(gateway, "--path", "/elsewhere").stderr


def test_a_draft_is_edited_and_tried_again_while_callers_keep_the_release(gateway, draft, echo):
    gateway.publish(draft)
    gateway.controlplane.apply({"kind": "Api", "name": "groups/g/apis/a", "backend": {"mock": {"status": 418, "body": "dGVh"}}})
    done = debug(gateway, "--path", "/orders/7", "-o", "json")
    answer = json.loads(done.stdout)
    assert answer["status"] == 418 and answer["body"] == "dGVh" and answer["request"].startswith("GET /orders/7 HTTP/1.1\r\n")
    assert gateway.call("/orders/7", HOST).status == 200


def test_as_json_over_http(gateway, draft):
    done = subprocess.run(["curl", "-sS", "-m", "30", "-H", "Content-Type: application/json", "-d", json.dumps({"path": "/orders/7"}),
                           f"http://127.0.0.1:{gateway.controlplane.http_port}/v1/groups/g/apis/a:debug"], capture_output=True, text=True)
    answer = json.loads(done.stdout)
    assert answer["status"] == 200 and json.loads(base64.b64decode(answer["body"]))["path"] == "/orders/7", done


def test_what_callers_reach_is_tried_with_its_checks(gateway, tmp_path):
    gateway.group("g", HOST)
    gateway.api("g/a", "/a", auth={"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True},
                backend={"mock": {"status": 201}})
    refused = debug(gateway, "--mode", "consumer", "--path", "/a", check=False)
    assert refused.returncode == 4 and "is not published in environments/RELEASE" in refused.stderr
    assert "< 201" in debug(gateway, "--path", "/a").stderr  # a draft has no checks
    gateway.publish("g/a")
    assert "< 401" in debug(gateway, "--mode", "consumer", "--path", "/a").stderr
    wrong = tmp_path / "code"
    wrong.write_text("none-of-ours\n")
    done = debug(gateway, "--mode", "consumer", "--path", "/a", "--app-code-file", wrong)
    assert "< 401" in done.stderr and "> X-Apig-Appcode: ***" in done.stderr and "none-of-ours" not in done.stderr
    assert "none-of-ours" not in gateway.controlplane.log.read_text()


def test_refusals_have_codes_and_reasons(gateway, draft, admin):
    refused = admin.refused("DebugApi", name="groups/g/apis/a", path="orders", headers=[{"name": "X-Stage"}])
    assert refused.code == "INVALID_ARGUMENT" and set(refused.fields) == {"path", "headers[0].name"}
    assert admin.refused("DebugApi", name="groups/g/apis/none", path="/").code == "NOT_FOUND"
    gateway.controlplane.apply({"kind": "Api", "name": "groups/g/apis/a", "backend": {"http": {"address": "#host#"}}})
    refused = admin.refused("DebugApi", name="groups/g/apis/a", path="/")
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "VARIABLES") and "#host#" in refused.message


def test_what_the_backend_does_is_the_answer(gateway):
    script = Script()
    gateway.group("g", HOST)
    gateway.api("g/a", "/", method="ANY", match="PREFIX", backend={"http": {"address": script.address}})
    script.answer = lambda connection, *_: connection.close()
    assert "< 502" in debug(gateway).stderr
    script.answer = lambda connection, *_: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    cut = debug(gateway, check=False)
    assert cut.returncode == 1 and cut.stdout == "half" and "the answer was cut off" in cut.stderr
    body = b"x" * (3 * 1024 * 1024)
    script.answer = lambda connection, *_: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    long = debug(gateway)
    assert long.stdout == "x" * 2 * 1024 * 1024 + "[TRUNCATED]" and "cut after 2 MiB" in long.stderr
    script.stop()


def test_with_no_agent_it_says_so(controlplane):
    controlplane.apply({"kind": "Api", "name": "groups/DEFAULT/apis/a", "frontend": {"method": "HTTP_METHOD_GET", "path": "/a"},
                        "backend": {"mock": {}}})
    done = controlplane.ctl("debug", "DEFAULT/a", check=False)
    assert done.returncode == 5 and "no agent is connected" in done.stderr
