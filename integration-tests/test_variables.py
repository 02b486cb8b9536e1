"""Environment variables: one API, another backend in every environment; missing ones and stale releases are named."""
import json

import pytest

from lib.servers import Echo


@pytest.fixture
def other():
    backend = Echo()
    yield backend
    backend.stop()


@pytest.fixture
def shop(gateway, other):
    """An API of which address and path are variables, with values for TEST (other backend) and for RELEASE."""
    gateway.group("shop")
    gateway.controlplane.apply({"kind": "Environment", "name": "environments/TEST"})
    variable(gateway, "RELEASE.host", gateway.backend.address)
    variable(gateway, "RELEASE.Path", "/Stage/prod")
    variable(gateway, "TEST.host", other.address)
    variable(gateway, "TEST.Path", "/Stage/test")
    gateway.api("shop/a", path="/a/{x}", backend={"http": {"address": "#host#", "path": "/#Path#/{x}"}})
    return gateway


def variable(gateway, name, value):
    gateway.controlplane.apply({"kind": "Variable", "name": f"groups/shop/variables/{name}", "value": value})


def target(answer):
    return json.loads(answer.body)["path"]


def publication(gateway, environment="RELEASE"):
    return next(p for p in gateway.controlplane.get("api", "shop/a")["publications"] if p["name"].endswith(f"/{environment}"))


def test_each_environment_has_its_backend(shop, other):
    shop.publish("shop/a")
    shop.publish("shop/a", "TEST")
    assert target(shop.call("/a/1")) == "/Stage/prod/1"
    assert [r["path"] for r in shop.backend.requests] == ["/Stage/prod/1"] and not other.requests
    assert target(shop.call("/a/2", headers=[("X-Stage", "TEST")])) == "/Stage/test/2"
    assert [r["path"] for r in other.requests] == ["/Stage/test/2"] and len(shop.backend.requests) == 1


def test_publish_is_refused_when_variables_are_missing(shop):
    shop.controlplane.ctl("delete", "variable", "shop/TEST.host")
    shop.controlplane.ctl("delete", "variable", "shop/TEST.Path")
    refused = shop.controlplane.ctl("publish", "shop/a", "--env", "TEST", check=False)
    assert refused.returncode == 4 and "VARIABLES_MISSING" in refused.stderr
    for word in ("groups/shop", "environments/TEST", "#Path#", "#host#", "backend.http.address", "backend.http.path"):
        assert word in refused.stderr
    shop.publish("shop/a")
    assert shop.call("/a/1", headers=[("X-Stage", "TEST")]).status == 404


def test_a_value_that_spoils_the_address_is_refused_by_field(shop):
    variable(shop, "RELEASE.host", "127.0.0.1:99999")
    refused = shop.controlplane.ctl("publish", "shop/a", check=False)
    assert refused.returncode == 4 and "VARIABLES_WRONG" in refused.stderr
    assert "backend.http.address" in refused.stderr and "127.0.0.1:99999" in refused.stderr


def test_an_edit_waits_for_a_publish_and_is_listed_until_then(shop, other):
    shop.publish("shop/a")
    said = shop.controlplane.ctl("apply", "-f", "-", stdin=json.dumps(
        {"kind": "Variable", "name": "groups/shop/variables/RELEASE.host", "value": other.address})).stdout
    assert "configured" in said and "groups/shop/apis/a" in said
    shop.settle()
    shop.call("/a/1")
    assert len(shop.backend.requests) == 1 and not other.requests
    assert publication(shop)["staleVariables"] == ["groups/shop/variables/RELEASE.host"]
    assert "RELEASE.host" in shop.controlplane.ctl("get", "apis", "shop").stdout
    stale = {v["variable"]: v.get("staleApis") for v in shop.controlplane.list("variable", "shop")
             if v["environment"] == "environments/RELEASE"}
    assert stale["host"] == ["groups/shop/apis/a"] and not stale["Path"]
    shown = shop.controlplane.ctl("diff", "shop/a", check=False)
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[2:] == [f'~ variables[host].value: "{shop.backend.address}" -> "{other.address}"']
    shop.publish("shop/a")
    assert shop.controlplane.ctl("diff", "shop/a").stdout == ""
    shop.call("/a/1")
    assert len(other.requests) == 1 and "staleVariables" not in publication(shop)


def test_stale_releases_are_listed_until_they_are_published_again(shop, other):
    shop.publish("shop/a")
    shop.publish("shop/a", "TEST")
    assert shop.controlplane.list("stale", "shop") == []
    variable(shop, "RELEASE.host", other.address)
    shop.controlplane.ctl("delete", "variable", "shop/TEST.Path")
    stale = {release["environment"]: release["variables"] for release in shop.controlplane.list("stale")}
    assert stale == {
        "environments/RELEASE": [{"name": "groups/shop/variables/RELEASE.host", "frozenValue": shop.backend.address,
                                  "currentValue": other.address}],
        "environments/TEST": [{"name": "groups/shop/variables/TEST.Path", "frozenValue": "/Stage/test"}]}
    shop.publish("shop/a")
    assert shop.controlplane.ctl("get", "stale", "shop", "-o", "name").stdout == "groups/shop/apis/a/releases/TEST-1\n"


def test_a_rollback_brings_back_the_values_of_then(shop, other):
    shop.publish("shop/a")
    variable(shop, "RELEASE.host", other.address)
    shop.publish("shop/a")
    shop.controlplane.ctl("delete", "variable", "shop/RELEASE.host")
    shop.controlplane.ctl("rollback", "shop/a", "--to", "1", "--wait")
    shop.call("/a/1")
    assert len(shop.backend.requests) == 1 and not other.requests
    assert publication(shop)["staleVariables"] == ["groups/shop/variables/RELEASE.host"]


def test_variables_are_listed_by_environment(shop):
    names = shop.controlplane.ctl("get", "variables", "shop", "--env", "TEST", "-o", "name").stdout.split()
    assert names == ["groups/shop/variables/TEST.Path", "groups/shop/variables/TEST.host"]
    table = shop.controlplane.ctl("get", "vars").stdout
    assert table.split("\n")[0].split()[:2] == ["NAME", "VALUE"] and len(table.splitlines()) == 5


# ---- python grpcio


def test_the_whole_life_of_a_variable(admin):
    admin.CreateApiGroup(group_id="g")
    made = admin.CreateVariable(parent="groups/g", variable={
        "environment": "environments/RELEASE", "variable": "host", "value": "127.0.0.1:80"})
    assert made.name == "groups/g/variables/RELEASE.host"
    made.value = "127.0.0.1:81"
    changed = admin.UpdateVariable(variable=made, update_mask={"paths": ["value"]})
    assert changed.value == "127.0.0.1:81" and changed.etag != made.etag
    assert admin.refused("UpdateVariable", variable=made).code == "ABORTED"
    assert admin.refused("DeleteVariable", name=made.name, etag=made.etag).code == "ABORTED"
    admin.DeleteVariable(name=made.name, etag=changed.etag)
    assert admin.refused("GetVariable", name=made.name).code == "NOT_FOUND"


@pytest.mark.parametrize("field, more", [
    ("value", {"value": ""}), ("value", {"value": "a b"}), ("value", {"value": "v" * 256}), ("value", {"value": "\u00e4"}),
    ("variable", {"variable": "ab"}), ("variable", {"variable": "v" * 33}), ("variable", {"variable": "1bc"}),
    ("variable", {"variable": "a.c"}), ("environment", {"environment": "RELEASE"}), ("description", {"description": "d" * 256}),
])
def test_every_rule_of_a_variable_is_named(admin, field, more):
    admin.CreateApiGroup(group_id="g")
    good = {"environment": "environments/RELEASE", "variable": "host", "value": "127.0.0.1:80"}
    refused = admin.refused("CreateVariable", parent="groups/g", variable={**good, **more})
    assert refused.code == "INVALID_ARGUMENT" and list(refused.fields) == [field]
    assert not admin.ListVariables(parent="groups/g").variables


def test_the_fifty_first_is_refused(admin):
    admin.CreateApiGroup(group_id="g")
    for number in range(50):
        admin.CreateVariable(parent="groups/g", variable_id=f"RELEASE.v-{number}", variable={"value": "x"})
    refused = admin.refused("CreateVariable", parent="groups/g", variable_id="RELEASE.more", variable={"value": "x"})
    assert refused.code == "RESOURCE_EXHAUSTED" and "50 of 50" in refused.message
    admin.DeleteApiGroup(name="groups/g")
    assert admin.refused("GetVariable", name="groups/g/variables/RELEASE.v-1").code == "NOT_FOUND"


def test_what_is_missing_is_one_refusal_with_every_name(admin):
    admin.CreateApiGroup(group_id="g")
    admin.CreateApi(parent="groups/g", api_id="a", api={
        "frontend": {"method": "HTTP_METHOD_GET", "path": "/"},
        "backend": {"http": {"address": "#host#:#port#", "path": "/#Path#"}}})
    refused = admin.refused("PublishApi", name="groups/g/apis/a")
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "VARIABLES_MISSING")
    assert "environments/RELEASE" in refused.message
    assert all(name in refused.message for name in ("#host#", "#port#", "#Path#"))
    assert set(refused.fields) == {"backend.http.address", "backend.http.path"}


def test_variables_go_with_their_environment(admin):
    admin.CreateApiGroup(group_id="g")
    admin.CreateEnvironment(environment_id="TEST")
    admin.CreateVariable(parent="groups/g", variable_id="TEST.host", variable={"value": "127.0.0.1:80"})
    admin.CreateApi(parent="groups/g", api_id="a", api={
        "frontend": {"method": "HTTP_METHOD_GET", "path": "/"}, "backend": {"http": {"address": "#host#"}}})
    admin.PublishApi(name="groups/g/apis/a", environment="environments/TEST")
    refused = admin.refused("DeleteEnvironment", name="environments/TEST")
    assert (refused.code, refused.apig) == ("FAILED_PRECONDITION", "APIG.3418")
    assert admin.refused("DeleteEnvironment", name="environments/RELEASE").code == "FAILED_PRECONDITION"
    admin.UnpublishApi(name="groups/g/apis/a", environment="environments/TEST")
    admin.DeleteEnvironment(name="environments/TEST")
    assert not admin.ListVariables(parent="groups/g").variables


def test_a_promoted_release_has_the_values_of_its_new_environment(shop, other):
    shop.publish("shop/a", "TEST")
    shop.controlplane.ctl("promote", "shop/a", "--from", "TEST", "--env", "RELEASE", "--wait")
    assert target(shop.call("/a/1")) == "/Stage/prod/1"
    assert len(shop.backend.requests) == 1 and not other.requests
