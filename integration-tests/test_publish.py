"""An API's life: draft, publish, history, rollback, unpublish, delete."""
import base64
import json
import re

import pytest

from lib.servers import Agent


def mock(text):
    return {"mock": {"body": base64.b64encode(text.encode()).decode()}}


def version(gateway):
    return gateway.call().body.decode()


def test_a_draft_is_seen_by_nobody(gateway):
    gateway.group("g")
    gateway.api("g/a", backend=mock("one"))
    gateway.settle()
    answer = gateway.call()
    assert (answer.status, answer.code) == (404, "APIG.0101")


def test_an_edit_waits_for_the_next_publish(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    gateway.api("g/a", backend=mock("two"))
    gateway.settle()
    assert version(gateway) == "one"
    gateway.publish("g/a")
    assert version(gateway) == "two"


def test_publish_says_how_many_agents_applied_it(gateway):
    gateway.group("g")
    gateway.api("g/a", backend=mock("one"))
    said = gateway.controlplane.ctl("publish", "g/a", "--wait").stdout
    assert re.search(r"1 of 1 agents applied revision \d+ in [\d.]+ ms", said)


def test_history_and_rollback(gateway):
    gateway.group("g")
    for text in ("one", "two", "three"):
        gateway.publish(gateway.api("g/a", backend=mock(text)))
    gateway.controlplane.ctl("rollback", "g/a", "--to", "2", "--wait")
    assert version(gateway) == "two"
    history = gateway.controlplane.list("release", "g/a")
    assert [int(release["number"]) for release in history] == [3, 2, 1]
    assert [release.get("effective", False) for release in history] == [False, True, False]


def test_ten_releases_are_kept_and_the_effective_one_always(gateway):
    gateway.group("g")
    for number in range(12):
        gateway.publish(gateway.api("g/a", backend=mock(str(number))))
    numbers = [int(release["number"]) for release in gateway.controlplane.list("release", "g/a")]
    assert numbers == list(range(12, 2, -1))
    gateway.controlplane.ctl("rollback", "g/a", "--to", "3", "--wait")
    gateway.api("g/a", backend=mock("newest"))
    assert version(gateway) == "2"
    gone = gateway.controlplane.ctl("rollback", "g/a", "--to", "1", check=False)
    assert gone.returncode == 3


def test_environments_are_apart(gateway):
    gateway.group("g")
    gateway.controlplane.apply({"kind": "Environment", "name": "environments/TEST"})
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    gateway.publish(gateway.api("g/a", backend=mock("two")), "TEST")
    assert version(gateway) == "one"
    assert gateway.call(headers=[("x-stage", "TEST")]).body == b"two"
    assert gateway.call(headers=[("X-Stage", "test")]).status == 404
    assert gateway.call(headers=[("X-Stage", "RELEASE")]).body == b"one"


def test_unpublish_and_publish_again_keeps_numbers_and_bindings(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    gateway.bind("nobody", "g/a", ipAccess={"effect": "ACCESS_EFFECT_DENY", "addresses": ["127.0.0.1"]})
    gateway.controlplane.ctl("unpublish", "g/a", "--wait")
    assert gateway.call().status == 404
    gateway.publish("g/a")
    assert gateway.call().status == 403
    assert int(gateway.controlplane.list("release", "g/a")[0]["number"]) == 2


def test_delete_is_refused_while_published(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    refused = gateway.controlplane.ctl("delete", "api", "g/a", check=False)
    assert refused.returncode == 4 and "APIG.3416" in refused.stderr
    refused = gateway.controlplane.ctl("delete", "group", "g", check=False)
    assert refused.returncode == 4 and "APIG.3415" in refused.stderr
    gateway.controlplane.ctl("unpublish", "g/a", "--wait")
    gateway.controlplane.ctl("delete", "api", "g/a")
    gateway.controlplane.ctl("delete", "group", "g")
    assert gateway.controlplane.ctl("get", "api", "g/a", check=False).returncode == 3


def test_a_stale_etag_loses_nothing(gateway):
    gateway.group("g")
    gateway.api("g/a", backend=mock("one"))
    before = gateway.controlplane.get("api", "g/a")
    gateway.api("g/a", backend=mock("two"))
    stale = gateway.controlplane.ctl("apply", "-f", "-", check=False,
                                     stdin=json.dumps({**before, "description": "late"}))
    assert stale.returncode == 4 and "ABORTED" in stale.stderr
    assert "description" not in gateway.controlplane.get("api", "g/a")


def test_a_dry_run_writes_nothing(gateway):
    gateway.group("g")
    gateway.controlplane.ctl("apply", "--dry-run", "-f", "-", stdin="{kind: App, name: apps/shop}")
    assert gateway.controlplane.ctl("get", "app", "shop", check=False).returncode == 3


def test_a_second_agent_gets_everything_from_the_start(gateway, start, tmp_path):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend=mock("one")))
    gateway.agent = start(Agent(tmp_path, gateway.controlplane, "second"))
    gateway.settle()
    assert version(gateway) == "one"
    gateway.api("g/a", backend=mock("two"))
    said = gateway.controlplane.ctl("publish", "g/a", "--wait").stdout
    assert "2 of 2 agents applied" in said


@pytest.mark.parametrize("field,document", [
    ("frontend.path", '{frontend: {method: HTTP_METHOD_GET, path: "no/slash"}, backend: {mock: {}}}'),
    ("frontend.path", '{frontend: {method: HTTP_METHOD_GET, path: "/a{x}"}, backend: {mock: {}}}'),
    ("frontend.method", '{frontend: {path: "/"}, backend: {mock: {}}}'),
    ("backend", '{frontend: {method: HTTP_METHOD_GET, path: "/"}}'),
    ("backend.http.address", '{frontend: {method: HTTP_METHOD_GET, path: "/"}, backend: {http: {address: "a b"}}}'),
    ("backend.http.timeout", '{frontend: {method: HTTP_METHOD_GET, path: "/"}, backend: {http: {address: "a:1", timeout: 601s}}}'),
    ("backend.mock.status", '{frontend: {method: HTTP_METHOD_GET, path: "/"}, backend: {mock: {status: 99}}}'),
    ("cors", '{frontend: {method: HTTP_METHOD_GET, path: "/"}, backend: {mock: {}}, cors: true}'),
])
def test_what_is_refused_names_the_field(controlplane, field, document):
    controlplane.apply({"kind": "ApiGroup", "name": "groups/g"})
    refused = controlplane.ctl("apply", "-f", "-", check=False,
                               stdin="{kind: Api, name: groups/g/apis/a, " + document[1:])
    assert refused.returncode == 1
    assert f"Error: -:1: groups/g/apis/a: {field}: " in refused.stderr, refused.stderr
