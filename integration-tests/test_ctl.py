"""penstockctl: every command as its help says it, over a real control plane."""
import json
import re
import signal
import subprocess

import pytest

from lib.process import BIN
from lib.servers import ControlPlane
from lib.wait import until

ORDERS = """\
kind: ApiGroup
name: groups/orders
description: first
labels: {team: a}
---
kind: Api
name: groups/orders/apis/read
frontend: {method: HTTP_METHOD_GET, path: /orders, protocol: PROTOCOL_HTTP}
backend: {mock: {status: 200}}
---
kind: Environment
name: environments/TEST
---
kind: Variable
name: groups/orders/variables/TEST.host
value: 127.0.0.1
---
kind: App
name: apps/shop
frozen: true
---
kind: Policy
name: policies/three
throttle: {apiLimit: 3}
---
kind: PolicyBinding
name: policies/three/bindings/b1
api: groups/orders/apis/read
"""
KINDS = ("group", "domain", "certificate", "api", "environment", "variable", "channel", "app", "code", "authorization", "policy",
         "binding", "agent")


@pytest.fixture
def ctl(controlplane):
    """ctl(words, text=YAML): the status and what was said."""
    def run(*words, text=None):
        done = controlplane.ctl(*words, stdin=text, check=False)
        return done.returncode, done.stdout, done.stderr
    return run


@pytest.fixture
def orders(ctl):
    assert ctl("apply", "-f", "-", text=ORDERS)[0] == 0
    return ctl


def apply(ctl, text, *words):
    return ctl("apply", "-f", "-", *words, text=text)


# ---- files


def test_apply_says_what_it_did_and_does_nothing_twice(ctl):
    status, said, _ = apply(ctl, ORDERS)
    assert status == 0 and said.count(" created\n") == 7
    before = ctl("get", "group", "orders", "-o", "json")[1]
    status, said, _ = apply(ctl, ORDERS)
    assert status == 0 and said.count(" unchanged\n") == 7
    assert ctl("get", "group", "orders", "-o", "json")[1] == before
    assert "policies/three configured" in apply(ctl, ORDERS.replace("apiLimit: 3", "apiLimit: 4"))[1]


def test_apply_can_take_back_what_it_set(orders):
    """False and empty are values too; fields that the file does not name stay."""
    assert apply(orders, "{kind: App, name: apps/shop, frozen: false}")[1] == "apps/shop configured\n"
    assert "frozen" not in orders("get", "app", "shop", "-o", "json")[1]
    apply(orders, "kind: ApiGroup\nname: groups/orders\ndescription:\n")
    group = json.loads(orders("get", "group", "orders", "-o", "json")[1])
    assert "description" not in group and group["labels"] == {"team": "a"}


def test_apply_is_all_or_nothing_and_says_where(ctl):
    status, said, errors = apply(ctl, "{kind: App, name: apps/one}\n---\n{kind: App, name: apps/two, displayName: x}\n")
    assert status == 1 and said == ""
    assert errors == "Error: -:3: apps/two: display_name: must be 3 to 64 characters; nothing was applied (INVALID_ARGUMENT)\n"
    status, said, errors = apply(ctl, "{kind: App, name: apps/one, displayName: x}\n---\n{kind: App, name: apps/two, displayName: x}\n")
    assert status == 1 and errors.splitlines() == [
        "Error: nothing was applied (INVALID_ARGUMENT)", "  -:1: apps/one: display_name: must be 3 to 64 characters",
        "  -:3: apps/two: display_name: must be 3 to 64 characters"]
    assert ctl("get", "app", "one")[0] == 3


def test_all_files_are_read_before_anything_is_written(ctl, tmp_path):
    (tmp_path / "good.yaml").write_text("{kind: App, name: apps/one}")
    (tmp_path / "bad.yaml").write_text("kind: App\nname: apps/two\nfrosen: true\n")
    status, said, errors = ctl("apply", "-f", tmp_path / "good.yaml", "-f", tmp_path / "bad.yaml")
    assert status == 1 and said == "" and "bad.yaml:1: frosen: is not a field" in errors
    assert ctl("get", "app", "one")[0] == 3


@pytest.mark.parametrize("text, complaint", [
    ("kind: App\nname: &n apps/a\ndescription: *n\n", "line 3: aliases are not supported"),
    ("kind: App\nname: apps/a\nname: apps/b\n", 'line 3: "name" is there twice'),
    ("kind: Channel\nname: channels/abc\nport: 80\nmembers: [{host: a}, {wieght: 1}]\n", "members[1].wieght: is not a field"),
    ("kind: Api\nname: groups/g/apis/a\nfrontend: {paht: /x}\n", "frontend.paht: is not a field"),
    ("kind: Channel\nname: channels/abc\nport: 80.5\n", "port: must be a whole number"),
    ("kind: Nope\nname: x\n", '"Nope" is not known'),
    ("kind: App\nname: groups/x\n", '"groups/x" does not look like apps/{app}'),
    ("name: apps/a\n", "a document needs a kind"),
    ("a: [1\n", "line 2"),
    ("# nothing\n---\n", "there is no resource in what apply reads"),
    ('kind: App\nname: apps/a\ndescription: "a\\0b"\n', "NUL"),
    ("kind: App\nname: apps/a\nlabels: " + "[" * 50 + "]" * 50, "more than 32 levels"),
    ("{kind: Agent, name: agents/x}", "has no Create"),
])
def test_a_file_that_cannot_be_meant(ctl, text, complaint):
    status, said, errors = apply(ctl, text)
    assert status == 1 and said == "" and complaint in errors


def test_text_may_say_that_it_is_text(ctl):
    apply(ctl, "kind: App\nname: apps/a\ndescription: !!str 12\n")
    assert json.loads(ctl("get", "app", "a", "-o", "json")[1])["description"] == "12"


def test_delete_goes_backwards_through_files(orders, tmp_path):
    (tmp_path / "orders.yaml").write_text(ORDERS)
    status, said, _ = orders("delete", "-f", tmp_path / "orders.yaml")
    assert status == 0
    assert said.splitlines() == [f"{name} deleted" for name in (
        "policies/three/bindings/b1", "policies/three", "apps/shop", "groups/orders/variables/TEST.host", "environments/TEST", "groups/orders/apis/read",
        "groups/orders")]


def test_an_app_code_is_shown_once(orders):
    said = orders("create", "-f", "-", text="{kind: AppCode, name: apps/shop/codes/main}")[1]
    code = re.search(r"code: (\S{64})\n", said).group(1)
    for words in (("get", "codes"), ("get", "code", "shop/main", "-o", "yaml"), ("get", "codes", "shop", "-o", "json")):
        assert code not in orders(*words)[1] and code[:4] in orders(*words)[1]
    assert apply(orders, "{kind: AppCode, name: apps/shop/codes/main}")[1] == "apps/shop/codes/main unchanged\n"


def test_an_app_secret_is_shown_once(ctl, tmp_path):
    status, said, _ = ctl("create", "app", "till")
    key, secret = re.fullmatch("apps/till created\n  key: (\\S{32})\n  secret: (\\S{40})\n  .shown only now: keep it.\n", said).groups()
    assert status == 0 and key in ctl("get", "apps")[1]
    (tmp_path / "secret").write_text("Chosen#secret\n")
    _, said, _ = ctl("reset-secret", "till", "--secret-file", tmp_path / "secret")
    assert said == f"apps/till has another secret\n  key: {key}\n  secret: Chosen#secret\n  (shown only now: keep it)\n"
    reset = json.loads(ctl("reset-secret", "apps/till", "-o", "json")[1])
    assert reset["key"] == key and len(reset["secret"]) == 40
    assert "secret" not in json.loads(ctl("reset-secret", "till", "--dry-run", "-o", "json")[1])
    for words in (("get", "app", "till", "-o", "yaml"), ("get", "apps", "-o", "json"), ("export",)):
        assert not any(text in "".join(ctl(*words)[1:]) for text in (secret, "Chosen#secret", reset["secret"]))
    assert ctl("reset-secret", "nobody")[0] == 3 and ctl("create", "app", "till")[0] == 4
    assert ctl("create", "app")[0] == 2 and ctl("create")[0] == 2


def test_an_exported_app_applies_elsewhere_and_has_no_secret_there(ctl, start, tmp_path):
    made = json.loads(ctl("create", "app", "till", "-o", "json")[1])
    _, exported, errors = ctl("export")
    assert "apps/till: secret is left out" in errors and made["key"] in exported and made["secret"] not in exported
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere = start(ControlPlane(folder))
    assert "apps/till created" in elsewhere.ctl("apply", "-f", "-", stdin=exported).stdout
    there = json.loads(elsewhere.ctl("get", "app", "till", "-o", "json").stdout)
    assert there["key"] == made["key"] and "secretTime" not in there
    assert f"key: {made['key']}" in elsewhere.ctl("reset-secret", "till").stdout


# ---- showing


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_format(orders, kind):
    orders("create", "-f", "-", text="{kind: AppCode, name: apps/shop/codes/main}")
    names = orders("get", kind, "-o", "name")[1].split()
    listed = json.loads(orders("get", kind, "-o", "json")[1])
    assert [resource["name"] for resource in listed] == names
    status, table, errors = orders("get", kind)
    assert status == 0 and (len(table.splitlines()) == len(names) + 1 if names else f"No {kind} found" in errors)
    text = orders("get", kind, "-o", "yaml")[1]
    assert text.count("kind: ") == len(names) and text.count("\n---\n") == max(0, len(names) - 1)
    for name in names:
        assert json.loads(orders("get", kind, name, "-o", "json")[1])["name"] == name


def test_what_was_exported_can_be_applied(orders):
    for kind in ("group", "api", "app", "policy", "binding"):
        text = orders("get", kind, "-o", "yaml")[1]
        status, said, errors = apply(orders, text)
        assert status == 0 and said.count("unchanged") == text.count("kind: "), said + errors


def test_names_whole_or_only_their_ids(orders):
    for words in (("get", "api", "orders/read"), ("get", "apis", "groups/orders/apis/read"), ("get", "apis", "orders"),
                  ("get", "apis", "groups/orders"), ("list", "apis"), ("list", "Api", "-")):
        assert "groups/orders/apis/read" in orders(*words)[1], words
    for words in (("get", "group", "a/b"), ("get", "nope"), ("get", "release"), ("publish", "orders"), ("publish",),
                  ("frob",), ("get", "groups", "-o", "xml"), ("get", "groups", "--bogus"), ("apply",), ("delete", "app"),
                  ("completion", "tcsh"), ("rollback", "orders/read"), ("get", "groups", "--timeout", "5")):
        status, said, errors = orders(*words)
        assert status == 2 and said == "" and errors.startswith("Error: "), words
    assert orders("get", "app", "nobody")[0] == 3 and orders("get", "apis", "nobody")[0] == 3


# ---- an API's life


def test_publish_history_rollback(orders, agent):
    assert re.fullmatch(r"groups/orders/apis/read/releases/RELEASE-1 published\n"
                        r"1 of 1 agents applied revision \d+ in \d+(\.\d)? ms\n",
                        orders("publish", "orders/read", "--wait", "-m", "the first")[1])
    assert "(dry run)" in orders("publish", "orders/read", "--dry-run")[1]
    assert orders("publish", "orders/read", "-o", "name")[1] == "groups/orders/apis/read/releases/RELEASE-2\n"
    orders("publish", "orders/read", "-e", "TEST")
    history = [line.split()[:3] for line in orders("history", "orders/read", "-e", "RELEASE")[1].splitlines()[1:]]
    assert history == [["2", "environments/RELEASE", "yes"], ["1", "environments/RELEASE", "no"]]
    assert len(json.loads(orders("history", "orders/read", "-o", "json")[1])) == 3
    assert "RELEASE-1 is effective" in orders("rollback", "orders/read", "--to", "1", "--wait")[1]
    assert orders("rollback", "orders/read", "--to", "9")[0] == 3
    assert orders("publish", "orders/read", "--etag", '"1"')[0] == 4
    assert "of 1 agents" in orders("unpublish", "orders/read", "--wait=5s")[1]
    assert orders("unpublish", "orders/read")[0] == 4


def test_a_publish_that_does_not_arrive_fails(orders, agent):
    agent.signal(signal.SIGSTOP)
    status, said, _ = orders("publish", "orders/read", "--wait=100ms")
    many_status, many_said, _ = orders("publish", "--group", "orders", "--wait=100ms", "-o", "json")
    agent.signal(signal.SIGCONT)
    assert status == 1 and "0 of 1 agents applied" in said
    assert many_status == 1 and [outcome["name"] for outcome in json.loads(many_said)] == ["groups/orders/apis/read"]
    until(lambda: "yes" in orders("agents")[1], "the agent to be back")


# ---- around it


def test_a_server_that_is_away(ctl, controlplane, tmp_path):
    controlplane.stop()
    for words in (("get", "groups"), ("agents",), ("publish", "a/b"), ("delete", "app", "x")):
        status, said, errors = ctl(*words)
        assert status == 5 and said == "" and "UNAVAILABLE" in errors and controlplane.address in errors


def test_a_server_that_is_silent(ctl, controlplane):
    controlplane.signal(signal.SIGSTOP)
    status, said, errors = ctl("--timeout", "300ms", "get", "groups")
    controlplane.signal(signal.SIGCONT)
    assert status == 5 and said == "" and "DEADLINE_EXCEEDED" in errors


def complete(*words):
    """What bash would offer for the last word."""
    line = " ".join(f"'{word}'" for word in ("penstockctl", *words))
    script = (f"source <(penstockctl completion bash); COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
              "_penstockctl; echo ${COMPREPLY[*]}")
    return subprocess.run(["bash", "-c", script], env={"PATH": f"{BIN}:/usr/bin:/bin"}, capture_output=True, text=True,
                          check=True).stdout.split()


def test_bash_completes():
    assert complete("pu") == ["publish"]
    assert {"get", "apply", "rollback", "version"} <= set(complete(""))
    assert complete("get", "po") == ["policy"]
    assert complete("get", "apis", "-o", "") == ["table", "json", "yaml", "name"]
    assert complete("get", "apis", "--outp") == ["--output"]
    assert complete("completion", "") == ["bash", "zsh", "fish"]


def test_the_help_names_every_command_and_flag():
    said = subprocess.run([BIN / "penstockctl", "--help"], capture_output=True, text=True, check=True).stdout
    for word in complete(""):
        assert f"\n  {word}" in said
    for word in complete("get", "x", "--"):
        assert word in said
    assert subprocess.run([BIN / "penstockctl"], capture_output=True, check=False).returncode == 2
