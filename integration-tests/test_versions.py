"""Versions of an API, and copies: what is different between them."""
import json
import contextlib
import os
import pty
import subprocess

import pytest

from lib.process import BIN

grpc = pytest.importorskip("grpc")


@pytest.fixture
def plane(controlplane):
    controlplane.apply({"kind": "ApiGroup", "name": "groups/g"})
    return controlplane


def draft(plane, name="a", **more):
    plane.apply({"kind": "Api", "name": f"groups/g/apis/{name}", "backend": {"mock": {}},
                 "frontend": {"method": "HTTP_METHOD_GET", "path": f"/{name}"}, **more})
    return f"groups/g/apis/{name}"


def publish(plane, name="a", *words):
    return plane.ctl("publish", f"g/{name}", *words)


# ---- differences


@pytest.fixture
def three(plane):
    """Release 1, release 2 and a draft, each different."""
    for number in (1, 2):
        draft(plane, description=f"number {number}")
        publish(plane)
    draft(plane, description="draft", tags=["new"])
    return plane


@pytest.mark.parametrize("words, old, new", [
    (["g/a"], 2, None), (["g/a", "1"], 1, None), (["g/a", "1", "2"], 1, 2), (["g/a", "2", "1"], 2, 1),
    (["g/a/RELEASE-1"], 1, None), (["groups/g/apis/a/releases/RELEASE-1", "g/a/RELEASE-2"], 1, 2)])
def test_diff_of_releases_and_the_draft(three, words, old, new):
    done = three.ctl("diff", *words, check=False)
    said = [f"--- groups/g/apis/a/releases/RELEASE-{old}",
            f"+++ groups/g/apis/a/releases/RELEASE-{new}" if new else "+++ groups/g/apis/a",
            f'~ description: "number {old}" -> ' + (f'"number {new}"' if new else '"draft"')]
    assert done.stdout.splitlines() == said + ([] if new else ['+ tags: ["new"]'])
    assert (done.returncode, done.stderr) == (1, "")


def test_diff_says_by_its_status_what_it_found(three):
    publish(three)
    done = three.ctl("diff", "g/a")
    assert done.stdout == ""
    for words, status in ((["g/none"], 3), (["g/a", "9"], 3), (["g/a", "--env", "TEST"], 4), (["g"], 2), ([], 2),
                          (["g/a", "1", "-o", "yaml"], 2), (["g/a/RELEASE-1", "1", "2"], 2)):
        assert three.ctl("diff", *words, check=False).returncode == status, words
    draft(three, "b")
    other = three.ctl("diff", "g/a/RELEASE-1", "g/b", check=False)
    assert other.returncode == 2 and "target: must be of the same API as source" in other.stderr


def test_diff_is_coloured_on_a_terminal_only(three):
    def on_a_terminal(**environment):
        master, terminal = pty.openpty()
        subprocess.run([BIN / "penstockctl", "--server", three.address, "diff", "g/a"], stdout=terminal, check=False,
                       env={**os.environ, **environment})
        os.close(terminal)
        said = b""
        with contextlib.suppress(OSError):  # EIO: that was all
            while piece := os.read(master, 65536):
                said += piece
        os.close(master)
        return said.decode()
    assert "\033[33m~ description" in on_a_terminal() and "\033[32m+ tags" in on_a_terminal()
    assert "\033" not in on_a_terminal(NO_COLOR="1") and "\033" not in three.ctl("diff", "g/a", check=False).stdout


def test_diff_for_programs(three, admin):
    answer = admin.DiffReleases(source="groups/g/apis/a/releases/RELEASE-1", target="groups/g/apis/a/releases/RELEASE-2")
    assert [(change.path, change.old_value, change.new_value) for change in answer.changes] == [
        ("description", '"number 1"', '"number 2"')]
    shown = json.loads(three.ctl("diff", "g/a", "1", "2", "-o", "json", check=False).stdout)
    assert shown["changes"] == [{"path": "description", "oldValue": '"number 1"', "newValue": '"number 2"'}]
    refused = admin.refused("DiffReleases", source="groups/g", target="groups/g/apis/a")
    assert refused.code == "INVALID_ARGUMENT" and list(refused.fields) == ["source"]


# ---- clones


def test_clone(plane, admin):
    plane.apply({"kind": "ApiGroup", "name": "groups/h"})
    draft(plane, description="text")
    publish(plane)
    assert plane.ctl("clone", "g/a", "b", "--path", "/b").stdout == "groups/g/apis/b created\n"
    assert plane.ctl("clone", "g/a", "h/a", "--dry-run").stdout == "groups/h/apis/a created (dry run)\n"
    assert json.loads(plane.ctl("clone", "g/a", "h/a", "-o", "json").stdout)["frontend"]["path"] == "/a"
    made = admin.GetApi(name="groups/g/apis/b")
    assert (made.description, made.frontend.path, list(made.publications)) == ("text", "/b", [])
    same = plane.ctl("clone", "g/a", "c", "--path", "/a", check=False)
    assert same.returncode == 4 and "APIG.3301" in same.stderr and "groups/g/apis/a has it already" in same.stderr
    refused = admin.refused("CloneApi", name="groups/g/apis/a", api_id="b", path="/c")
    assert (refused.code, refused.apig) == ("ALREADY_EXISTS", "APIG.3202")
    assert admin.refused("CreateApi", parent="groups/g", api_id="b", api={
        "frontend": {"method": "HTTP_METHOD_GET", "path": "/x"}, "backend": {"mock": {}}}).apig == "APIG.3202"


# ---- promotion


def test_what_was_tested_goes_live(gateway):
    gateway.group("g")
    gateway.controlplane.apply({"kind": "Environment", "name": "environments/TEST"},
                               {"kind": "Variable", "name": "groups/g/variables/TEST.path", "value": "tested"},
                               {"kind": "Variable", "name": "groups/g/variables/RELEASE.path", "value": "live"})
    to_backend = {"http": {"address": gateway.backend.address, "path": "/#path#"}}
    gateway.publish(gateway.api("g/a", backend=to_backend), "TEST")
    gateway.api("g/a", backend={"mock": {}})  # a draft that nobody has tested
    said = gateway.controlplane.ctl("promote", "g/a", "--from", "TEST", "--env", "RELEASE", "--wait").stdout
    assert "groups/g/apis/a/releases/RELEASE-1 published\n1 of 1 agents applied" in said
    assert gateway.call().status == 200 and gateway.backend.requests[-1]["path"] == "/live"
    assert gateway.call(headers=[("X-Stage", "TEST")]).status == 200 and gateway.backend.requests[-1]["path"] == "/tested"
    made = gateway.controlplane.get("release", "g/a/RELEASE-1")
    assert made["promotedFrom"] == "groups/g/apis/a/releases/TEST-1" and made["description"] == "promoted from TEST-1"


def test_promote_says_what_is_wrong(plane, admin):
    plane.apply({"kind": "Environment", "name": "environments/TEST"})
    draft(plane)
    publish(plane)
    for words, status in ((["g/a/RELEASE-1"], 2), (["g/a", "--env", "TEST"], 2), (["g/a/RELEASE-2", "--env", "TEST"], 3),
                          (["g/a", "--from", "TEST", "--env", "RELEASE"], 4), (["g/a/RELEASE-1", "--env", "RELEASE"], 1)):
        assert plane.ctl("promote", *words, check=False).returncode == status, words
    refused = admin.refused("PromoteApi", release="groups/g/apis/a/releases/RELEASE-1")
    assert (refused.code, list(refused.fields)) == ("INVALID_ARGUMENT", ["environment"])
    plane.ctl("promote", "g/a/RELEASE-1", "--env", "TEST", "--dry-run")
    assert len(plane.list("release", "g/a")) == 1


# ---- tags


def test_apis_by_tags(plane, admin):
    draft(plane, "a", tags=["shop", "v1"])
    draft(plane, "b", tags=["shop"])
    draft(plane, "c")
    assert plane.ctl("get", "apis", "g", "--tag", "shop", "-o", "name").stdout.split() == [
        "groups/g/apis/a", "groups/g/apis/b"]
    assert plane.ctl("get", "apis", "--tag", "shop", "--tag", "v1", "-o", "name").stdout == "groups/g/apis/a\n"
    assert plane.ctl("publish", "--group", "g", "--tag", "v1").stdout == "groups/g/apis/a/releases/RELEASE-1 published\n"
    assert plane.ctl("get", "groups", "--tag", "v1", check=False).returncode == 2
    refused = admin.refused("ListApis", parent="groups/g", tags=["1"])
    assert list(refused.fields) == ["tags[0]"]
    refused = admin.refused("ListApis", parent="groups/g", tags=[f"t{number}" for number in range(11)])
    assert refused.fields == {"tags": "must be at most 10"}


# ---- many at once


def many(plane, count):
    plane.apply(*({"kind": "Api", "name": f"groups/g/apis/n{number}", "backend": {"mock": {}},
                   "frontend": {"method": "HTTP_METHOD_GET", "path": f"/{number}", "protocol": "PROTOCOL_HTTP"}}
                  for number in range(count)))


def test_many_are_published_in_one_call(gateway):
    plane = gateway.controlplane
    gateway.group("g")
    many(plane, 130)
    said = plane.ctl("publish", "--group", "g", "--wait", "-m", "together").stdout.splitlines()
    assert len(said) == 131 and "1 of 1 agents applied revision" in said[-1]
    assert "groups/g/apis/n0/releases/RELEASE-1 published" in said
    assert gateway.call("/0").status == 200 and gateway.call("/129").status == 200
    assert plane.ctl("unpublish", "g/n0", "g/n129", "--wait").stdout.startswith(
        "groups/g/apis/n0 unpublished from environments/RELEASE\n")
    assert gateway.call("/0").status == 404 and gateway.call("/1").status == 200
    assert len(plane.ctl("unpublish", "--group", "g", "-o", "name").stdout.split()) == 128


def test_some_of_many_may_fail(plane, admin):
    many(plane, 2)
    draft(plane, "held", frontend={"method": "HTTP_METHOD_GET", "path": "/held"})
    plane.ctl("publish", "g/held")
    draft(plane, "held", frontend={"method": "HTTP_METHOD_GET", "path": "/moved"})
    draft(plane, "same", frontend={"method": "HTTP_METHOD_GET", "path": "/held"})
    done = plane.ctl("publish", "g/n0", "g/same", "g/none", "g/n1", check=False)
    assert done.returncode == 1
    assert done.stdout == "groups/g/apis/n0/releases/RELEASE-1 published\ngroups/g/apis/n1/releases/RELEASE-1 published\n"
    assert "groups/g/apis/held has it already (ALREADY_EXISTS, APIG.3301)" in done.stderr
    assert "groups/g/apis/none does not exist (NOT_FOUND)\n2 of 4 failed." in done.stderr
    logged = [json.loads(line) for line in plane.log.read_text().splitlines() if '"PublishApis"' in line]
    assert [(line["resource"], line.get("environment"), line["code"]) for line in logged] == [
        ("groups/g/apis/n0", "environments/RELEASE", "OK"), ("groups/g/apis/same", "environments/RELEASE", "ALREADY_EXISTS"),
        ("groups/g/apis/none", "environments/RELEASE", "NOT_FOUND"), ("groups/g/apis/n1", "environments/RELEASE", "OK"),
        ("", None, "OK")]
    answer = admin.UnpublishApis(names=["groups/g/apis/n0", "groups/g/apis/same"])
    assert (answer.succeeded, answer.failed) == (1, 1)
    assert [(outcome.name, outcome.failure.code) for outcome in answer.outcomes] == [
        ("groups/g/apis/n0", ""), ("groups/g/apis/same", "FAILED_PRECONDITION")]
    shown = json.loads(plane.ctl("publish", "g/n0", "g/none", "-o", "json", check=False).stdout)
    assert [outcome.get("failure", {}).get("code") for outcome in shown] == [None, "NOT_FOUND"]


def test_what_many_may_not_be(plane, admin):
    for words in ([], ["g/a", "--group", "g"], ["g/a", "g/b", "--etag", "1"], ["g/a", "g/b", "-o", "yaml"],
                  ["g/a", "--tag", "shop"], ["g/a", "g/b", "--tag", "shop"]):
        assert plane.ctl("publish", *words, check=False).returncode == 2, words
    for method in ("PublishApis", "UnpublishApis"):
        refused = admin.refused(method, names=[f"groups/g/apis/{number}" for number in range(1001)])
        assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", {"names": "must be at most 1000"})
        refused = admin.refused(method, names=["groups/g/apis/a", "groups/g/apis/a", "a"])
        assert list(refused.fields) == ["names[1]", "names[2]"]


def test_progress_is_shown_on_a_terminal_only(plane):
    many(plane, 101)
    master, terminal = pty.openpty()
    subprocess.run([BIN / "penstockctl", "--server", plane.address, "publish", "--group", "g"], stderr=terminal, check=True,
                   stdout=subprocess.DEVNULL)
    os.close(terminal)
    assert "publish: 100 of 101" in os.read(master, 65536).decode()
    os.close(master)
    assert plane.ctl("publish", "--group", "g").stderr == ""
