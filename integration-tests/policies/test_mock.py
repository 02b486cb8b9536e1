"""Mock backends."""
import base64


def mock(body=b"{}", **more):
    return {"mock": {"body": base64.b64encode(body).decode(), **more}}


def test_a_mock_answers_without_a_backend(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock(b'{"hello":1}', status=201, headers=[{"name": "X-Mock", "value": "yes"}])))
    answer = gateway.call()
    assert (answer.status, answer.json(), answer.header("X-Mock")) == (201, {"hello": 1}, "yes")
    assert answer.header("Content-Type") == "application/json"
    assert len(answer.header("X-Request-Id")) == 32
    assert not gateway.backend.requests


def test_the_default_is_200(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend={"mock": {}}))
    answer = gateway.call()
    assert (answer.status, answer.body) == (200, b"")


def test_head_has_the_length_and_no_body(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock(b"12345"), method="ANY"))
    answer = gateway.call(method="HEAD")
    assert (answer.status, answer.header("Content-Length"), answer.body) == (200, "5", b"")


def test_policies_apply_to_mocks(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock()))
    gateway.bind("nobody", "g/a", ipAccess={"effect": "ACCESS_EFFECT_DENY", "addresses": ["127.0.0.1"]})
    assert gateway.call().status == 403
