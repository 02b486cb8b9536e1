"""Versions of an API, and copies: what is different between them."""
import json
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
        said = os.read(master, 65536).decode()
        os.close(master)
        return said
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
