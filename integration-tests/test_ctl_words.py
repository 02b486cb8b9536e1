"""What penstockctl says of itself: explain, contexts, completion of names, help."""
import os
import stat
import subprocess

import pytest

from lib.process import BIN

ORDERS = """\
- {kind: ApiGroup, name: groups/orders}
- {kind: ApiGroup, name: groups/other}
- {kind: Environment, name: environments/TEST}
- {kind: Policy, name: policies/three, throttle: {apiLimit: 3}}
- {kind: Api, name: groups/orders/apis/read, frontend: {method: HTTP_METHOD_GET, path: /r}, backend: {mock: {status: 200}}}
- {kind: Api, name: groups/orders/apis/write, frontend: {method: HTTP_METHOD_PUT, path: /w}, backend: {mock: {status: 200}}}
"""


@pytest.fixture
def alone(tmp_path):
    """penstockctl of a user with a home of their own, without flags."""
    def run(*words, **variables):
        done = subprocess.run([BIN / "penstockctl", *map(str, words)], capture_output=True, text=True, timeout=60, check=False,
                              env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home"), **variables})
        return done.returncode, done.stdout, done.stderr
    return run


# ---- explain


def test_explain_tells_fields_in_the_words_of_the_protos(alone):
    status, said, _ = alone("explain", "api.frontend")
    assert status == 0 and said.startswith("KIND   Api, named groups/{group}/apis/{api}\nFIELD  frontend <Frontend>\n")
    assert "  path <text>\n      Required, starts with \"/\"" in said and "  matchMode <MatchMode>\n" in said
    assert "  MATCH_MODE_PREFIX\n" in alone("explain", "api.frontend.matchMode")[1]
    assert alone("explain", "api.frontend.match_mode")[1].count("MATCH_MODE_") > 1
    assert "Load balance channels" in alone("explain", "channels")[1]
    assert "      path <text>" not in said and "    path <text>\n" in alone("explain", "api", "-R")[1]
    assert "(one of kind)" in alone("explain", "policy")[1]
    assert "certificates <list of text>" in alone("explain", "domain")[1]
    assert "timeout <duration, as 5s>" in alone("explain", "api.backend.http")[1]


@pytest.mark.parametrize("words, status, complaint", [
    (("api.frontend.pathh",), 3, "Frontend has no field pathh"), (("api.frontend.path.x",), 3, "nothing below x"),
    (("nope",), 2, '"nope" is no kind'), ((), 2, "usage: penstockctl explain KIND[.FIELD...]")])
def test_what_explain_cannot_find(alone, words, status, complaint):
    done = alone("explain", *words)
    assert done[0] == status and complaint in done[2]


def test_explain_knows_every_kind_and_every_field_of_it(alone):
    for kind in subprocess.run([BIN / "penstockctl", "__complete", "get", ""], capture_output=True, text=True,
                               check=True).stdout.split():
        status, said, errors = alone("explain", kind, "-R")
        assert status == 0 and "FIELDS" in said, (kind, errors)


# ---- contexts


def test_contexts(alone, tmp_path, controlplane):
    assert "set-context NAME" in alone("config", "get-contexts")[2]
    (tmp_path / "token").write_text("a-secret")
    assert alone("config", "set-context", "here", "--server", controlplane.address)[1] == "here created\n"
    assert alone("config", "set-context", "far", "--server", "127.0.0.1:1", "--token-file", tmp_path / "token")[0] == 0
    assert alone("config", "use-context", "here")[0] == 0
    file = tmp_path / "home/.config/penstock/config.yaml"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600 and "a-secret" not in file.read_text()
    assert alone("get", "groups", "-o", "name")[1] == "groups/DEFAULT\n"
    assert alone("config", "current-context")[1] == "here\n"
    lines = alone("config", "get-contexts")[1].splitlines()
    assert [line.split() for line in lines] == [["CURRENT", "NAME", "SERVER"], ["*", "here", controlplane.address],
                                                ["far", "127.0.0.1:1"]]
    assert alone("config", "set-context", "far", "--server", "127.0.0.1:2")[1] == "far configured\n"
    assert "tokenFile" in file.read_text() and "127.0.0.1:1\n" not in file.read_text()
    assert alone("config", "delete-context", "here")[0] == 0
    assert alone("config", "current-context")[0] == 3


def test_flags_come_before_variables_and_those_before_contexts(alone, controlplane):
    alone("config", "set-context", "here", "--server", controlplane.address)
    alone("config", "set-context", "far", "--server", "127.0.0.1:1")
    alone("config", "use-context", "far")
    assert "Is the control plane at 127.0.0.1:1?" in alone("get", "groups")[2]
    assert alone("get", "groups", "--context", "here")[0] == 0
    assert alone("get", "groups", PENSTOCK_CONTEXT="here")[0] == 0
    assert alone("get", "groups", PENSTOCK_SERVER=controlplane.address)[0] == 0
    assert alone("get", "groups", "--server", controlplane.address, PENSTOCK_SERVER="127.0.0.1:2")[0] == 0
    assert "127.0.0.1:2" in alone("get", "groups", "--context", "here", PENSTOCK_SERVER="127.0.0.1:2")[2]
    assert alone("get", "groups", "--context", "nope")[0] == 2


def test_a_token_goes_to_no_other_server(alone, tmp_path, controlplane):
    """Who names a server gets nothing of the current context: the token file is not even read."""
    alone("config", "set-context", "prod", "--server", "127.0.0.1:1", "--token-file", tmp_path / "gone")
    alone("config", "use-context", "prod")
    assert alone("get", "groups", "--server", controlplane.address)[0] == 0
    status, _, errors = alone("get", "groups", "--server", controlplane.address, "--context", "prod")
    assert status == 2 and "--token-file" in errors


@pytest.mark.parametrize("text", ["- a\n", "contexts: 5\n", "contexts: [{name: a, server: 5}]\ncurrent: a\n", "a: [\n"])
def test_a_broken_file_of_contexts_is_named(alone, tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text)
    status, _, errors = alone("get", "groups", PENSTOCK_CONFIG=str(tmp_path / "broken.yaml"))
    assert status == 2 and ("broken.yaml" in errors or "is no text" in errors)
    assert alone("explain", "api", PENSTOCK_CONFIG=str(tmp_path / "broken.yaml"))[0] == 0


# ---- completion


@pytest.fixture
def complete(controlplane):
    """What bash would offer for the last word."""
    controlplane.ctl("apply", "-f", "-", stdin=ORDERS)

    def run(*words):
        line = " ".join(f"'{word}'" for word in ("penstockctl", *words))
        script = (f"source <(penstockctl completion bash); COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
                  "_penstockctl; echo ${COMPREPLY[*]}")
        return subprocess.run(["bash", "-c", script], env={"PATH": f"{BIN}:/usr/bin:/bin", "PENSTOCK_SERVER": controlplane.address},
                              capture_output=True, text=True, check=True).stdout.split()
    return run


def test_names_are_completed(complete):
    assert complete("get", "group", "o") == ["orders", "other"]
    assert complete("get", "api", "") == ["DEFAULT/", "orders/", "other/"]
    assert complete("get", "api", "orders/") == ["orders/read", "orders/write"]
    assert complete("publish", "orders/read", "orders/w") == ["orders/write"]
    assert complete("publish", "orders/read", "--env", "") == ["RELEASE", "TEST"]
    assert complete("publish", "--group", "or") == ["orders"]
    assert complete("delete", "policy", "th") == ["three"]
    assert complete("export", "ot") == ["other"]
    assert complete("history", "orders/r") == ["orders/read"]
    assert complete("explain", "api.front") == ["api.frontend"]
    assert "api.frontend.path" in complete("explain", "api.frontend.")
    assert complete("config", "use") == ["use-context"]


def test_without_a_control_plane_there_are_no_names(alone):
    assert alone("__complete", "get", "api", "x", PENSTOCK_SERVER="127.0.0.1:1") == (0, "", "")
    assert alone("__complete") == (0, "", "")


# ---- help


def test_each_command_has_its_help(alone):
    assert alone("help")[1] == alone("--help")[1] and alone("help", "apply")[1] == alone("apply", "--help")[1]
    for command in alone("__complete", "")[1].split():
        status, said, _ = alone(command, "--help")
        assert status == 0 and said.startswith(f"usage: penstockctl {command}") and "--server" in said


def test_a_dry_run_of_the_client_is_for_files(alone, tmp_path):
    (tmp_path / "app.yaml").write_text("{kind: App, name: apps/shop}")
    for command in ("apply", "create", "delete"):
        assert alone(command, "-f", tmp_path / "app.yaml", "--dry-run=client", PENSTOCK_SERVER="127.0.0.1:1")[:2] == (
            0, "apps/shop read (dry run, nothing was asked)\n")
    for words in (("publish", "g/a"), ("delete", "app", "shop"), ("get", "apps")):
        assert alone(*words, "--dry-run=client")[0] == 2
    assert alone("apply", "-f", tmp_path / "app.yaml", "--dry-run=nobody")[0] == 2
