"""AppCode authentication."""
import json

CODE = "c0de" * 20


def app_auth(plaintext=True):
    return {"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": plaintext}


def open_api(gateway, plaintext=True):
    gateway.group("g")
    gateway.api("g/a", auth=app_auth(plaintext))
    gateway.controlplane.apply(
        {"kind": "App", "name": "apps/shop"},
        {"kind": "AppCode", "name": "apps/shop/codes/main", "code": CODE},
        {"kind": "Authorization", "name": "apps/shop/authorizations/one", "api": "groups/g/apis/a"})
    gateway.publish("g/a")


def test_the_right_code_passes_and_is_not_handed_on(gateway):
    open_api(gateway)
    assert gateway.call(headers=[("X-Apig-AppCode", CODE)]).status == 200
    assert "x-apig-appcode" not in {name.lower() for name in gateway.backend.requests[-1]["headers"]}


def test_a_call_without_or_with_a_wrong_code_is_refused(gateway):
    open_api(gateway)
    for headers in ([], [("X-Apig-AppCode", CODE + "x")], [("X-Apig-AppCode", "")]):
        answer = gateway.call(headers=headers)
        assert (answer.status, answer.code) == (401, "APIG.0303"), headers
    twice = gateway.call(headers=[("X-Apig-AppCode", CODE), ("X-Apig-AppCode", CODE)])
    assert (twice.status, twice.code) == (400, "APIG.0602")
    assert not gateway.backend.requests


def test_a_code_over_plain_http_is_refused_unless_allowed(gateway):
    open_api(gateway, plaintext=False)
    assert gateway.call(headers=[("X-Apig-AppCode", CODE)]).status == 401


def test_a_code_is_shown_once_and_kept_nowhere(gateway, controlplane):
    gateway.controlplane.apply({"kind": "App", "name": "apps/shop"})
    shown = gateway.controlplane.ctl("create", "-f", "-", "-o", "json",
                                     stdin="{kind: AppCode, name: apps/shop/codes/main}").stdout
    code = json.loads(shown)["code"]
    assert len(code) >= 64
    assert "code" not in gateway.controlplane.get("code", "shop/main")
    for file in controlplane.folder.iterdir():
        if file.is_file():
            assert code.encode() not in file.read_bytes(), file


def test_a_deleted_code_stops_at_once(gateway):
    open_api(gateway)
    gateway.controlplane.ctl("delete", "code", "shop/main")
    gateway.settle()
    assert gateway.call(headers=[("X-Apig-AppCode", CODE)]).status == 401
