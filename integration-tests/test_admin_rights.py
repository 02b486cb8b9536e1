"""Roles by action and rights with limits, in every class of methods: what a principal of groups/shop sees and writes."""
import hashlib
import json

import grpc
import pytest

from lib.admin import Admin
from lib.servers import ControlPlane

WHO = {
    "root": {"role": "administrator"},
    "shop": {"role": "operator", "limits": ["groups/shop"]},
    "shopview": {"role": "viewer", "limits": ["groups/shop"]},
    "both": {"grants": [{"role": "publisher", "limits": ["groups/food"]}, {"role": "operator", "limits": ["groups/shop"]}]},
    "publisher": {"role": "publisher"},
    "reader": {"role": "reader"},
    "channels": {"role": "operator", "limits": ["channels/shop-backend", "groups/new"]},
}
ROLES = [{"name": "publisher", "actions": ["ApiService/Get*", "ApiService/PublishApi*", "ApiService/UnpublishApi*"]},
         {"name": "reader", "actions": ["*/Get*", "*/List*"]}]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def people(start, tmp_path, stubs):
    """The management API as each of WHO, by their tokens, over an API in each of two groups."""
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({
        "tokens": [{"sha256": digest(name), "principal": name, **rights} for name, rights in WHO.items()], "roles": ROLES}))
    plane = start(ControlPlane(tmp_path, extra=("--credentials-file", file)))

    class As(Admin):
        def __init__(self, name):
            super().__init__(stubs, grpc.insecure_channel(plane.address))
            self.token = name

        def method(self, name):
            request, call = super().method(name)
            return request, lambda message, **more: call(
                message, metadata=[("authorization", f"Bearer {self.token}")], **more)

    made = {name: As(name) for name in WHO}
    made["plane"], made["file"] = plane, file
    for group in ("shop", "food", "shop2"):
        made["root"].CreateApiGroup(group_id=group)
        made["root"].CreateApi(parent=f"groups/{group}", api_id="read", api=api("/read"))
    yield made
    for name in WHO:
        made[name].close()


def api(path, name=""):
    return {"name": name, "frontend": {"protocol": "PROTOCOL_HTTP", "method": "HTTP_METHOD_GET", "path": path},
            "backend": {"http": {"address": "127.0.0.1:1"}}}


def denied(admin, method, **request):
    refusal = admin.refused(method, **request)
    assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "OUTSIDE_OF_LIMITS"), (method, request, refusal)
    assert admin.token in refusal.message
    return refusal.message


FOREIGN = "groups/food/apis/read"
OWN = "groups/shop/apis/read"
FOREIGN_CALLS = [
    ("GetApiGroup", {"name": "groups/food"}),
    ("GetApiGroup", {"name": "groups/shop2"}),
    ("GetApi", {"name": FOREIGN}),
    ("GetApi", {"name": "groups/nothing/apis/read"}),  # whether it is there is not told
    ("GetApi", {}),
    ("ListApis", {"parent": "groups/food"}),
    ("ListReleases", {"parent": FOREIGN}),
    ("ListReleases", {"parent": "groups/-/apis/-"}),
    ("ListStaleReleases", {"parent": "groups/-"}),
    ("ListVariables", {"parent": "groups/food"}),
    ("GetEnvironment", {"name": "environments/RELEASE"}),
    ("DiffReleases", {"source": OWN, "target": FOREIGN}),
    ("DiffReleases", {"source": FOREIGN}),
    ("CreateApiGroup", {"group_id": "mine"}),
    ("CreateApiGroup", {"group_id": "mine", "group": {"name": "groups/shop"}}),
    ("CreateApiGroup", {"group": {"name": "groups/mine"}}),
    ("UpdateApiGroup", {"group": {"name": "groups/food", "description": "taken"}}),
    ("DeleteApiGroup", {"name": "groups/food"}),
    ("CreateApi", {"parent": "groups/food", "api_id": "mine", "api": api("/mine")}),
    ("CreateApi", {"parent": "groups/shop", "api_id": "mine", "api": api("/mine", "groups/food/apis/mine")}),
    ("CreateApi", {"parent": "groups/-", "api_id": "mine", "api": api("/mine")}),
    ("UpdateApi", {"api": api("/taken", FOREIGN)}),
    ("DeleteApi", {"name": FOREIGN}),
    ("CloneApi", {"name": FOREIGN, "parent": "groups/shop", "api_id": "copy", "path": "/copy"}),
    ("CloneApi", {"name": OWN, "parent": "groups/food", "api_id": "copy", "path": "/copy"}),
    ("PublishApi", {"name": FOREIGN}),
    ("UnpublishApi", {"name": FOREIGN}),
    ("RollbackApi", {"release": FOREIGN + "/releases/RELEASE-1"}),
    ("PromoteApi", {"release": FOREIGN + "/releases/RELEASE-1", "environment": "environments/RELEASE"}),
    ("PublishApis", {"names": [OWN, FOREIGN]}),
    ("PublishApis", {"parent": "groups/food"}),
    ("PublishApis", {"parent": "groups/-"}),
    ("PublishApis", {}),
    ("UnpublishApis", {"names": [FOREIGN]}),
    ("CreateDomain", {"parent": "groups/food", "domain_id": "a.example.com"}),
    ("CreateVariable", {"parent": "groups/food", "variable_id": "RELEASE.host", "variable": {"value": "x"}}),
    ("CreateApp", {"app_id": "mine"}),
    ("CreateChannel", {"channel_id": "mine"}),
    ("CreatePolicyBinding", {"parent": "policies/none", "binding": {"api": OWN}}),
    ("CreateEnvironment", {"environment_id": "MINE"}),
    ("ListAgents", {}),
]


@pytest.mark.parametrize("validate_only", [False, True])
def test_what_is_foreign_is_refused_and_stays(people, validate_only):
    shop, root = people["shop"], people["root"]
    before = [root.ListApis(parent="groups/-"), root.ListApiGroups(), root.ListApps(), root.ListEnvironments()]
    for method, request in FOREIGN_CALLS:
        fields = shop.method(method)[0].DESCRIPTOR.fields_by_name
        denied(shop, method, **request, **({"validate_only": True} if validate_only and "validate_only" in fields else {}))
    assert [root.ListApis(parent="groups/-"), root.ListApiGroups(), root.ListApps(), root.ListEnvironments()] == before
    assert not any(a.publications for a in before[0].apis)


def test_every_method_without_a_name_is_refused(people):
    """A request that says nothing is about nothing that the principal has."""
    shop, lists = people["shop"], []
    for methods in shop.stubs.services.values():
        for method in methods:
            try:
                getattr(shop, method)()
                lists.append(method)
            except grpc.RpcError as error:
                if error.code().name not in ("PERMISSION_DENIED", "UNIMPLEMENTED"):
                    lists.append(method)
    assert all(m.startswith("List") or m in ("WhoAmI", "Apply", "Export") for m in lists), lists  # each looks at its resources
    assert {"ListApis", "ListDomains", "ListVariables"} <= set(lists)  # without a parent: INVALID_ARGUMENT
    assert not {"ListAgents", "ListStaleReleases", "ListAuditEvents"} & set(lists)


def test_what_is_its_own_works(people):
    shop = people["shop"]
    shop.UpdateApiGroup(group={"name": "groups/shop", "description": "ours"})
    shop.CreateApi(parent="groups/shop", api_id="write", api=api("/write"))
    shop.UpdateApi(api={"name": "groups/shop/apis/write", "description": "ours"})
    assert shop.PublishApi(name=OWN).release.name == OWN + "/releases/RELEASE-1"
    assert {o.name for o in shop.PublishApis(parent="groups/shop").outcomes} == {OWN, "groups/shop/apis/write"}
    shop.RollbackApi(release=OWN + "/releases/RELEASE-1")
    assert len(shop.ListReleases(parent=OWN).releases) == 2
    shop.CreateVariable(parent="groups/shop", variable_id="RELEASE.host", variable={"value": "a"})
    shop.CreateDomain(parent="groups/shop", domain_id="shop.example.com")
    shop.UnpublishApis(names=[OWN])
    shop.DeleteApi(name=OWN)
    assert people["shopview"].GetApiGroup(name="groups/shop").description == "ours"
    assert denied(people["shopview"], "GetApi", name=FOREIGN).endswith("only in groups/shop, not in " + FOREIGN)
    assert people["shopview"].refused("DeleteApiGroup", name="groups/shop").code == "PERMISSION_DENIED"


def test_lists_show_what_may_be_seen(people):
    shop, both = people["shop"], people["both"]
    assert [g.name for g in shop.ListApiGroups().groups] == ["groups/shop"]
    assert [a.name for a in shop.ListApis(parent="groups/-").apis] == [OWN]
    assert [a.name for a in shop.ListApis(parent="groups/shop").apis] == [OWN]
    assert [g.name for g in both.ListApiGroups().groups] == ["groups/shop"]  # publisher has no ListApiGroups
    assert not shop.ListApps().apps and not shop.ListEnvironments().environments
    page = shop.ListApiGroups(page_size=1)
    assert [g.name for g in page.groups] == ["groups/shop"]
    if page.next_page_token:
        assert not shop.ListApiGroups(page_size=1, page_token=page.next_page_token).groups


def test_custom_roles_by_action(people):
    publisher, reader, both = people["publisher"], people["reader"], people["both"]
    publisher.PublishApi(name=FOREIGN)
    assert publisher.GetApi(name=FOREIGN).publications
    assert "ApiService/UpdateApi" in publisher.refused("UpdateApi", api=api("/x", FOREIGN)).message
    for method in ("ListApis", "CreateApi", "DeleteApi", "ListAgents"):
        assert publisher.refused(method).code == "PERMISSION_DENIED"
    assert len(reader.ListApis(parent="groups/-").apis) == 3 and reader.ListAgents() is not None
    assert reader.refused("PublishApi", name=OWN).code == "PERMISSION_DENIED"
    assert {o.name for o in both.PublishApis(names=[OWN, FOREIGN]).outcomes} == {OWN, FOREIGN}
    denied(both, "PublishApis", names=[OWN, "groups/shop2/apis/read"])
    denied(both, "UpdateApi", api=api("/x", FOREIGN))


def test_limits_of_other_kinds(people):
    channels, root = people["channels"], people["root"]
    channels.CreateChannel(channel_id="shop-backend", channel={"port": 80, "members": [{"host": "10.0.0.1"}]})
    denied(channels, "CreateChannel", channel_id="other", channel={"port": 80})
    assert [c.name for c in channels.ListChannels().channels] == ["channels/shop-backend"]
    channels.CreateApiGroup(group_id="new")
    assert root.GetApiGroup(name="groups/new")
    channels.DeleteChannel(name="channels/shop-backend")


def test_who_am_i(people, tmp_path):
    both = people["both"].WhoAmI()
    assert (both.principal, both.proof, both.HasField("expire_time")) == ("both", "bearer token", False)
    assert [(r.role, list(r.limits), len(r.actions)) for r in both.rights] == [
        ("publisher", ["groups/food"], 3), ("operator", ["groups/shop"], 0)]
    plane, token = people["plane"], tmp_path / "token"
    token.write_text("both")
    said = plane.ctl("--token-file", token, "auth", "whoami").stdout
    assert said.startswith("principal: both\n") and "operator in groups/shop" in said
    assert json.loads(plane.ctl("--token-file", token, "auth", "whoami", "-o", "json").stdout)["rights"][1]["role"] == "operator"
    assert plane.ctl("--token-file", token, "auth", "whoami", "-o", "name").stdout == "both\n"
    assert plane.ctl("--token-file", token, "auth", "login", check=False).returncode == 2
    assert plane.ctl("auth", "whoami", check=False).returncode == 6


def test_a_right_that_is_taken_away_ends_at_once(people):
    people["shop"].GetApi(name=OWN)
    people["file"].write_text(json.dumps({"tokens": [
        {"sha256": digest("shop"), "principal": "shop", "role": "operator", "limits": ["groups/food"]}]}))
    denied(people["shop"], "GetApi", name=OWN)
    people["shop"].GetApi(name=FOREIGN)


def test_an_export_of_the_own_group_shows_no_foreign_policy(people):
    people["root"].CreatePolicy(policy_id="platform", policy={"ip_access": {"effect": "ACCESS_EFFECT_DENY", "addresses": ["192.0.2.77"]}})
    people["root"].CreatePolicyBinding(parent="policies/platform", binding={"api": OWN})
    request = {"parent": "groups/shop", "scope": "EXPORT_SCOPE_EXTENDED", "environment": "environments/RELEASE"}
    people["root"].PublishApi(name=OWN)
    assert "192.0.2.77" in people["root"].ExportOpenApi(**request).document
    shown = people["shopview"].ExportOpenApi(**request).document
    assert "/read" in shown and "192.0.2.77" not in shown


# ---- what refusals say of others


def test_what_uses_a_resource_is_named_to_those_who_may_read_it(people):
    root, channels = people["root"], people["channels"]
    root.CreateChannel(channel_id="shop-backend", channel={"port": 80, "members": [{"host": "127.0.0.1", "weight": 1}]})
    root.CreateApiGroup(group_id="new")
    for group in ("food", "new"):
        root.CreateApi(parent=f"groups/{group}", api_id="pooled", api={
            **api("/pooled"), "backend": {"http": {"channel": "channels/shop-backend"}}})
    refused = channels.refused("DeleteChannel", name="channels/shop-backend")
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "IN_USE")
    assert refused.message == "channels/shop-backend is used by groups/new/apis/pooled, and by others that you may not read"
    root.DeleteApi(name="groups/new/apis/pooled")
    assert channels.refused("DeleteChannel", name="channels/shop-backend").message == \
        "channels/shop-backend is used by others that you may not read"
    assert root.refused("DeleteChannel", name="channels/shop-backend").message == \
        "channels/shop-backend is used by groups/food/apis/pooled"


def test_who_has_a_value_is_named_to_those_who_may_read_it(people):
    people["root"].CreateDomain(parent="groups/food", domain_id="a.example.com")
    for name, owner in (("shop", "one that you may not read"), ("root", "groups/food/domains/a.example.com")):
        refused = people[name].refused("CreateDomain", parent="groups/shop", domain_id="a.example.com")
        assert (refused.code, refused.reason, refused.message) == ("ALREADY_EXISTS", "NOT_UNIQUE", f"{owner} has it already")


def test_an_import_does_not_tell_which_policies_there_are(people):
    people["root"].CreatePolicy(policy_id="slow", policy={"throttle": {"api_limit": 3}})
    limit = {"api-limit": 5, "interval": 1, "unit": "SECOND", "special": []}
    operation = {"operationId": "a", "responses": {"200": {"description": "OK"}}, "x-apigateway-ratelimit": "slow",
                 "x-apigateway-backend": {"type": "MOCK", "mockEndpoints": {"result-content": "x"}}}
    for mode in (1, 2):
        answer = people["shop"].ImportOpenApi(
            parent="groups/shop", environment="environments/RELEASE", mode=mode, validate_only=True,
            document=json.dumps({"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": operation}},
                                 "x-apigateway-ratelimits": {"slow": limit, "none": limit}}))
        told = [(p.result, p.policy, p.failure.code, p.failure.message.replace(p.name, "NAME")) for p in answer.policies]
        assert len(told) == 2 and told[0] == told[1] and told[0][1] == "", told
