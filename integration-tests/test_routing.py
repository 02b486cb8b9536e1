"""From host, environment, path and method to an API; and what reaches the backend."""
import base64

import pytest

from lib.http1 import Connection


def mock(name):
    return {"mock": {"body": base64.b64encode(name.encode()).decode()}}


@pytest.fixture
def routes(gateway):
    gateway.group("g")
    for name, path, more in [
            ("literal", "/a/b", {}), ("one", "/a/{x}", {}), ("deep", "/a/{x}/c", {}), ("tail", "/t/{rest+}", {}),
            ("prefix", "/p", {"match": "PREFIX"}), ("longer", "/p/q", {"match": "PREFIX"}),
            ("exact", "/p/q/r", {}), ("slash", "/a/b/", {}), ("any", "/m", {"method": "ANY"}), ("post", "/m", {"method": "POST"})]:
        gateway.publish(gateway.api(f"g/{name}", path, backend=mock(name), **more))
    return gateway


@pytest.mark.parametrize("method,path,name", [
    ("GET", "/a/b", "literal"), ("GET", "/a/z", "one"), ("GET", "/a/b/c", "deep"), ("GET", "/a/b/", "slash"),
    ("GET", "/t/1/2/3", "tail"), ("GET", "/p", "prefix"), ("GET", "/p/x/y", "prefix"), ("GET", "/p/q/z", "longer"),
    ("GET", "/p/q/r", "exact"), ("DELETE", "/m", "any"), ("POST", "/m", "post"), ("GET", "/a/%62", "literal"),
    ("GET", "/a%2Fb", "literal"), ("GET", "/a/b?x=/y", "literal"),
])
def test_the_most_specific_one_wins(routes, method, path, name):
    assert routes.call(path, method=method).body.decode() == name


@pytest.mark.parametrize("method,path", [
    ("GET", "/nothing"), ("GET", "/pq"), ("GET", "/A/b"), ("GET", "/t"), ("GET", "/a/b/c/d"), ("PUT", "/a/b")])
def test_no_api_is_404(routes, method, path):
    answer = routes.call(path, method=method)
    assert (answer.status, answer.code) == (404, "APIG.0101")


def test_hosts(routes):
    routes.controlplane.apply({"kind": "Domain", "name": "groups/g/domains/*.wild.example.com"})
    routes.settle()
    assert routes.call("/a/b", host="G.Example.Com:8080").status == 200
    assert routes.call("/a/b", host="x.wild.example.com").status == 200
    assert routes.call("/a/b", host="x.y.wild.example.com").status == 200
    assert routes.call("/a/b", host="wild.example.com").status == 404
    assert routes.call("/a/b", host="unknown.example.com").status == 404


def test_an_address_leads_to_the_default_group(gateway):
    gateway.publish(gateway.api("DEFAULT/a", "/d", backend=mock("default")))
    assert gateway.call("/d", host="127.0.0.1").body == b"default"


def test_the_scheme_must_fit(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", protocol="HTTPS"))
    answer = gateway.call()
    assert (answer.status, answer.code) == (400, "APIG.0607")
    assert "HTTPS" in answer.json()["error_msg"]


def test_what_the_backend_gets(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/shop/{id}", method="ANY", backend={
        "http": {"address": gateway.backend.address, "path": "/v1/item-{id}"}}))
    gateway.call("/shop/a%20b?q=1&r=%2F", method="POST", body=b"hello", headers=[
        ("X-Stage", "RELEASE"), ("X-Forwarded-For", "192.0.2.7"), ("Connection", "X-Hop"), ("X-Hop", "1"), ("X-Other", "2")])
    got = gateway.backend.requests[-1]
    headers = {name.lower(): value for name, value in got["headers"].items()}
    assert (got["method"], got["path"], got["body"]) == ("POST", "/v1/item-a%20b?q=1&r=%2F", "hello")
    assert headers["x-forwarded-for"] == "192.0.2.7, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == "g.example.com"
    assert headers["x-other"] == "2"
    assert len(headers["x-request-id"]) == 32
    assert not {"x-stage", "x-hop"} & set(headers)
    assert headers["host"] == gateway.backend.address


def test_what_follows_a_prefix_is_appended(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", "/test", match="PREFIX", backend={
        "http": {"address": gateway.backend.address, "path": "/test2"}}))
    gateway.call("/test/AA/CC")
    assert gateway.backend.requests[-1]["path"] == "/test2/AA/CC"


def test_an_exchange_ends_on_what_it_began_with(gateway, nginx):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend={"http": {"address": nginx.address}}))
    with Connection(gateway.agent.port) as connection:
        connection.send("GET / HTTP/1.1\r\nHost: g.example.com\r\n\r\n")
        assert connection.read().body == b"nginx /\n"
        gateway.controlplane.ctl("unpublish", "g/a", "--wait")
        connection.send("GET / HTTP/1.1\r\nHost: g.example.com\r\n\r\n")
        assert connection.read().status == 404
