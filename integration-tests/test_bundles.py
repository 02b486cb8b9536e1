"""Atomic groups of writes: Apply and Export by reflection, on both stores; penstockctl apply, diff and export of files."""
import json
import threading

import pytest

from lib.process import http_text
from lib.reflect import Reflected
from lib.servers import ControlPlane, Etcd

SERVICE = "penstock.admin.v1.BundleService"
# Who refers before who is referred to.
SHOP = [
    {"binding": {"name": "policies/ten/bindings/read", "api": "groups/shop/apis/read"}},
    {"authorization": {"name": "apps/web/authorizations/read", "api": "groups/shop/apis/read"}},
    {"policy": {"name": "policies/ten", "throttle": {"apiLimit": 10}}},
    {"app": {"name": "apps/web"}},
    {"api": {"name": "groups/shop/apis/read", "frontend": {"method": "HTTP_METHOD_GET", "path": "/read"},
             "authentication": {"type": "AUTH_TYPE_APP", "appCode": True}, "backend": {"http": {"channel": "channels/pool"}}}},
    {"domain": {"name": "groups/shop/domains/shop.example.com"}},
    {"variable": {"name": "groups/shop/variables/TEST.host", "value": "10.0.0.1"}},
    {"group": {"name": "groups/shop", "description": "first"}},
    {"environment": {"name": "environments/TEST"}},
    {"channel": {"name": "channels/pool", "port": 80, "members": [{"host": "10.0.0.1", "weight": 1}]}},
]


@pytest.fixture(params=["sqlite", "etcd"])
def plane(request, start, tmp_path):
    store = start(Etcd(tmp_path)).store if request.param == "etcd" else None
    return start(ControlPlane(tmp_path, store))


@pytest.fixture
def reflected(stubs):
    opened = []

    def open_plane(plane):
        opened.append(Reflected(stubs, plane.address))
        return opened[-1]
    yield open_plane
    for one in opened:
        one.close()


@pytest.fixture
def bundles(plane, reflected):
    """bundles("Apply", resources=[...]): the answer, or the refusal."""
    api = reflected(plane)
    return lambda method, **request: api(SERVICE, method, request)


def api(name, path, group="groups/shop"):
    return {"api": {"name": f"{group}/apis/{name}", "frontend": {"method": "HTTP_METHOD_GET", "path": path},
                    "backend": {"mock": {"status": 200}}}}


# ---- Apply


def test_everything_at_once_in_any_order_and_nothing_twice(bundles):
    said = bundles("Apply", resources=SHOP, managedBy="ci")
    assert said["created"] == len(SHOP) and len({one["etag"] for one in said["resources"]}) == 1
    again = bundles("Apply", resources=list(reversed(SHOP)), managedBy="ci", prune=True)
    assert again["unchanged"] == len(SHOP) and "revision" not in again
    assert {one["etag"] for one in again["resources"]} == {one["etag"] for one in said["resources"]}


def test_one_refusal_refuses_all_by_field(bundles, plane):
    refused = bundles("Apply", resources=[*SHOP, api("bad", "no slash"), {"app": {"name": "apps/x", "displayName": "y"}}])
    assert refused.code == "INVALID_ARGUMENT" and refused.message.startswith("nothing was applied: groups/shop/apis/bad: ")
    assert set(refused.fields) == {"resources[10].api.frontend.path", "resources[11].app.display_name"}
    assert plane.list("group") == [plane.get("group", "DEFAULT")] and plane.list("channels") == []


def test_a_plan_shows_what_would_be_done(bundles, plane):
    bundles("Apply", resources=SHOP)
    plan = bundles("Apply", validateOnly=True, resources=[
        {"group": {"name": "groups/shop", "description": "second"}}, SHOP[0], api("new", "/new"), api("bad", "no slash")])
    changed, same, new, bad = plan["resources"]
    assert changed["action"] == "APPLY_ACTION_UPDATED"
    assert changed["changes"] == [{"path": "description", "oldValue": '"first"', "newValue": '"second"'}]
    assert same["action"] == "APPLY_ACTION_UNCHANGED"
    assert new["action"] == "APPLY_ACTION_CREATED"
    assert {"path": "frontend.path", "newValue": '"/new"'} in new["changes"]
    group, = bundles("Apply", validateOnly=True, resources=[{"group": {"name": "groups/new"}}])["resources"]
    assert [one["path"] for one in group["changes"]] == ["display_name"]  # and no random name
    assert bad["refusal"]["violations"][0]["field"] == "frontend.path"
    assert (plan["created"], plan["updated"], plan["unchanged"], plan["refused"]) == (1, 1, 1, 1)
    assert plane.get("group", "shop")["description"] == "first" and len(plane.list("apis")) == 1


def test_a_stale_etag_refuses_all(bundles):
    etag = bundles("Apply", resources=SHOP)["resources"][7]["etag"]
    second = {"group": {"name": "groups/shop", "description": "second", "etag": etag}}
    assert bundles("Apply", resources=[second])["updated"] == 1
    third = {"group": {"name": "groups/shop", "description": "third", "etag": etag}}
    refused = bundles("Apply", resources=[api("new", "/new"), third])
    assert (refused.code, refused.reason) == ("ABORTED", "ETAG_MISMATCH")


def test_what_is_pruned_is_what_is_managed(bundles, plane):
    plane.apply({"kind": "App", "name": "apps/other"})
    bundles("Apply", resources=SHOP, managedBy="ci")
    left = [one for one in SHOP if "app" not in one and "authorization" not in one]
    said = bundles("Apply", resources=left, managedBy="ci", prune=True)
    assert said["deleted"] == 2
    assert [one["name"] for one in said["resources"][-2:]] == ["apps/web", "apps/web/authorizations/read"]
    assert [app["name"] for app in plane.list("apps")] == ["apps/other"]


def test_what_is_published_is_not_pruned(bundles, plane):
    resources = [*SHOP[7:], api("live", "/live")]
    bundles("Apply", resources=resources, managedBy="ci")
    plane.ctl("publish", "shop/live")
    refused = bundles("Apply", resources=[SHOP[7]], managedBy="ci", prune=True)
    assert (refused.code, refused.apig) == ("FAILED_PRECONDITION", "APIG.3416"), refused
    assert plane.get("channel", "pool")["port"] == 80


def test_bundles_at_the_same_time_leave_one_of_them_whole(plane, reflected):
    """Each writes its mark into three resources: never a mixture."""
    def write(mark):
        client = reflected(plane)
        for _ in range(10):
            client(SERVICE, "Apply", {"resources": [
                {kind: {"name": name, "description": mark}} for kind, name in
                (("group", "groups/shop"), ("app", "apps/web"), ("environment", "environments/TEST"))]})
    writers = [threading.Thread(target=write, args=(f"mark {number}",)) for number in range(4)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        one = reflected(plane)(SERVICE, "Apply", {"validateOnly": True, "resources": [{"app": {"name": "apps/web"}}]})
        seen.add(type(one))
    for writer in writers:
        writer.join()
    marks = {plane.get(kind, name)["description"] for kind, name in (("group", "shop"), ("app", "web"), ("env", "TEST"))}
    assert len(marks) == 1 and seen == {dict}


def test_two_control_planes_write_bundles_over_one_etcd(start, tmp_path, etcd, reflected):
    """Both create and change the same three resources: each answer is a whole bundle or a refusal, and one of them is left."""
    planes = [start(ControlPlane(tmp_path, etcd.store, f"cp{number}")) for number in range(2)]
    answers = []

    def write(plane, mark):
        client = reflected(plane)
        for turn in range(8):
            answers.append(client(SERVICE, "Apply", {"resources": [
                {kind: {"name": name, "description": f"{mark} {turn}"}} for kind, name in
                (("app", "apps/web"), ("environment", "environments/TEST"), ("group", "groups/shop"))]}))
    writers = [threading.Thread(target=write, args=(planes[number % 2], number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    good = [answer for answer in answers if isinstance(answer, dict)]
    assert all(answer.code == "ABORTED" for answer in answers if not isinstance(answer, dict))
    assert len(good) >= 8 and len({answer["revision"] for answer in good}) == len(good)
    for plane in planes:
        assert len({plane.get(kind, name)["etag"] for kind, name in (("group", "shop"), ("app", "web"), ("env", "TEST"))}) == 1


# ---- Export


def test_an_export_applies_elsewhere(bundles, start, tmp_path, reflected):
    bundles("Apply", resources=[*SHOP, {"code": {"name": "apps/web/codes/main"}}])
    exported = bundles("Export")
    assert [one["name"] for one in exported["omissions"]] == ["apps/web/codes/main"]
    elsewhere = reflected(start(ControlPlane(tmp_path, name="elsewhere")))
    said = elsewhere(SERVICE, "Apply", {"resources": exported["resources"]})
    assert said["created"] == len(SHOP) and said["unchanged"] == 1  # the group DEFAULT
    assert elsewhere(SERVICE, "Export", {})["resources"] == exported["resources"]


def test_a_group_is_exported_with_what_belongs_to_it(bundles):
    bundles("Apply", resources=[*SHOP, {"app": {"name": "apps/other"}}, {"group": {"name": "groups/other"}}])
    names = [name for one in bundles("Export", groups=["groups/shop"])["resources"] for name in
             (content["name"] for content in one.values())]
    assert sorted(names) == sorted(content["name"] for one in SHOP for content in one.values())
    assert names.index("groups/shop") < names.index("groups/shop/apis/read") < names.index("policies/ten/bindings/read")
    assert bundles("Export", groups=["groups/nope"]).code == "NOT_FOUND"


def test_a_large_gateway_is_exported_in_pages_and_applied_in_parts(plane, start, tmp_path):
    for group in range(5):
        documents = [{"kind": "Api", "name": f"groups/g{group}/apis/a{number}", "backend": {"mock": {"status": 200, "body": "x" * 4000}},
                      "frontend": {"method": "HTTP_METHOD_GET", "path": f"/a{number}"}} for number in range(250)]
        plane.apply({"kind": "ApiGroup", "name": f"groups/g{group}"}, *documents)
    first = json.loads(http_text(f"http://127.0.0.1:{plane.http_port}/v1/bundle:export"))
    second = json.loads(http_text(f"http://127.0.0.1:{plane.http_port}/v1/bundle:export?pageToken={first['nextPageToken']}"))
    assert first["revision"] == second["revision"] and "nextPageToken" not in second
    for words in ((), ("-o", "json"), ("-o", "name")):
        said = run(plane, "export", *words)[1]
        assert said.count("/apis/a") == 1250 == sum("api" in one for one in first["resources"] + second["resources"])
        assert words != ("-o", "json") or len(json.loads(said)) == len(first["resources"] + second["resources"])


# ---- penstockctl


FILES = """\
kind: PolicyBinding
name: policies/ten/bindings/read
api: groups/shop/apis/read
---
kind: Api
name: groups/shop/apis/read
frontend: {method: HTTP_METHOD_GET, path: /read}
backend: {http: {channel: channels/pool}}
---
kind: ApiGroup
name: groups/shop
description: first
"""
MORE = """\
- {kind: Policy, name: policies/ten, throttle: {apiLimit: 10}}
- {kind: Channel, name: channels/pool, port: 80, members: [{host: 10.0.0.1, weight: 1}]}
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "shop"
    (made / "more").mkdir(parents=True)
    (made / "a.yaml").write_text(FILES)
    (made / "more/b.yml").write_text(MORE)
    (made / "notes.txt").write_text("not: [a document")
    return made


def run(plane, *words, stdin=None):
    done = plane.ctl(*words, stdin=stdin, check=False)
    return done.returncode, done.stdout, done.stderr


def names(said):
    return dict(line.split(" ", 1) for line in said.splitlines())


def test_a_folder_is_applied_whole(plane, folder):
    status, said, errors = run(plane, "apply", "-f", folder)
    assert status == 3 and said == "" and "a.yaml:1: policies/ten/bindings/read: policies/ten does not exist" in errors
    assert run(plane, "apply", "-f", folder, "-R", "--dry-run=client")[1].count("read (dry run, nothing was asked)") == 5
    status, said, _ = run(plane, "apply", "-f", folder, "-R", "--dry-run")
    assert status == 0 and set(names(said).values()) == {"created (dry run)"}
    assert plane.list("apis") == []
    status, said, _ = run(plane, "apply", "-R", "-f", folder)
    assert status == 0 and set(names(said).values()) == {"created"} and len(names(said)) == 5
    before = [plane.list(kind) for kind in ("groups", "apis", "policies", "bindings", "channels")]
    status, said, _ = run(plane, "apply", "-R", "-f", folder)
    assert status == 0 and set(names(said).values()) == {"unchanged"}
    assert [plane.list(kind) for kind in ("groups", "apis", "policies", "bindings", "channels")] == before


def test_apply_prunes_what_the_files_no_longer_hold(plane, folder):
    assert run(plane, "apply", "-R", "-f", folder, "--prune")[0] == 2  # of whom?
    run(plane, "apply", "-R", "-f", folder, "--managed-by", "shop")
    (folder / "a.yaml").write_text(FILES.split("---\n", 1)[1])
    status, said, _ = run(plane, "diff", "-R", "-f", folder, "--managed-by", "shop", "--prune")
    assert status == 1 and said == "--- policies/ten/bindings/read (prune)\n"
    status, said, _ = run(plane, "apply", "-R", "-f", folder, "--managed-by", "shop", "--prune")
    assert status == 0 and names(said)["policies/ten/bindings/read"] == "pruned"
    assert names(run(plane, "apply", "-R", "-f", folder, "--managed-by", "shop", "--prune")[1]).keys() == {
        "groups/shop", "groups/shop/apis/read", "policies/ten", "channels/pool"}


def test_diff_of_files_has_the_status_of_diff(plane, folder):
    status, said, _ = run(plane, "diff", "-R", "-f", folder)
    assert status == 1 and "+++ groups/shop (" in said and '+ description: "first"' in said
    run(plane, "apply", "-R", "-f", folder)
    assert run(plane, "diff", "-R", "-f", folder) == (0, "", "")
    (folder / "a.yaml").write_text(FILES.replace("first", "second").replace("/read}", "/other}"))
    status, said, _ = run(plane, "diff", "-R", "-f", folder)
    assert status == 1 and '~ description: "first" -> "second"' in said and '~ frontend.path: "/read" -> "/other"' in said
    assert "\033" not in said
    (folder / "a.yaml").write_text(FILES.replace("/read}", "no slash}"))
    status, said, errors = run(plane, "diff", "-R", "-f", folder)
    assert status == 2 and "a.yaml:5: groups/shop/apis/read refused: frontend.path: " in errors
    assert run(plane, "diff")[0] == 2 and run(plane, "diff", "-f", folder, "shop/read")[0] == 2


def test_what_is_exported_is_applied_elsewhere(plane, folder, start, tmp_path):
    run(plane, "apply", "-R", "-f", folder)
    for words in ((), ("-o", "json"), ("shop",)):
        status, said, _ = run(plane, "export", *words)
        assert status == 0
        assert run(plane, "diff", "-f", "-", stdin=said) == (0, "", "")
    elsewhere = start(ControlPlane(tmp_path, name="elsewhere"))
    status, applied, errors = run(elsewhere, "apply", "-f", "-", stdin=said)
    assert status == 0 and len(names(applied)) == 5, errors
    assert run(elsewhere, "export", "shop")[1] == said
    assert "groups/shop/apis/read\n" in run(plane, "export", "-o", "name")[1]
    assert run(plane, "export", "nope")[0] == 3


def test_a_large_bundle_is_one_revision_and_a_larger_one_says_how_to_split(plane):
    documents = [{"kind": "Api", "name": f"groups/many/apis/a{number}", "backend": {"mock": {"status": 200}},
                  "frontend": {"method": "HTTP_METHOD_GET", "path": f"/a{number}"}} for number in range(900)]
    group = {"kind": "ApiGroup", "name": "groups/many"}
    status, said, errors = run(plane, "apply", "-f", "-", stdin=json.dumps([*documents, group]))
    assert status == 0 and said.count(" created\n") == 901, errors
    assert {one["etag"] for one in plane.list("apis", "many")} == {plane.get("group", "many")["etag"]}
    changed = [{**one, "description": "changed"} for one in documents]
    status, said, errors = run(plane, "apply", "-f", "-", stdin=json.dumps(changed))
    assert status == 0 and said.count(" configured\n") == 900, errors
    assert len({one["etag"] for one in plane.list("apis", "many")}) == 1
    long = [{**one, "backend": {"mock": {"status": 200, "body": "x" * 2000}}} for one in documents]
    status, said, errors = run(plane, "apply", "-f", "-", stdin=json.dumps(long))
    assert status == 1 and said == "" and "Split it" in errors and "TOO_LARGE" in errors
    assert run(plane, "apply", "-f", "-", stdin=json.dumps(long[:100]))[1].count(" configured\n") == 100
