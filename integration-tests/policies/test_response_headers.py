"""Response header management."""


def policy(*rows):
    return {"responseHeaders": {"headers": [
        {"name": name, "value": value, "action": f"HEADER_ACTION_TYPE_{action}"} for name, action, value in rows]}}


def open_api(gateway, headers):
    gateway.group("g")
    gateway.backend.reply = lambda request: (200, headers, b"ok")
    gateway.publish(gateway.api("g/a"))


def test_each_action_on_a_header_that_is_there(gateway):
    open_api(gateway, [(name, "old") for name in ("X-Override", "X-Append", "X-Delete", "X-Skip", "X-Add")])
    gateway.bind("headers", "g/a", **policy(("x-override", "OVERRIDE", "new"), ("x-append", "APPEND", "new"),
                                            ("x-delete", "DELETE", ""), ("x-skip", "SKIP", "new"), ("x-add", "ADD", "new")))
    answer = gateway.call()
    assert answer.all("X-Override") == ["new"]
    assert answer.all("X-Append") == ["old,new"]
    assert answer.all("X-Delete") == []
    assert answer.all("X-Skip") == ["old"]
    assert answer.all("X-Add") == ["old", "new"]


def test_repeated_headers(gateway):
    open_api(gateway, [("X-Append", "1"), ("X-Append", "2"), ("X-Override", "1"), ("X-Override", "2")])
    gateway.bind("headers", "g/a", **policy(("X-Append", "APPEND", "3"), ("X-Override", "OVERRIDE", "3")))
    answer = gateway.call()
    assert answer.all("X-Append") == ["1,2,3"]
    assert answer.all("X-Override") == ["3"]


def test_each_action_on_a_header_that_is_absent(gateway):
    open_api(gateway, [])
    gateway.bind("headers", "g/a", **policy(*((f"X-{action}", action, "new") for action in
                                              ("OVERRIDE", "APPEND", "DELETE", "SKIP", "ADD"))))
    answer = gateway.call()
    assert [answer.all(f"X-{action}") for action in ("OVERRIDE", "APPEND", "DELETE", "SKIP", "ADD")] == \
        [["new"], ["new"], [], ["new"], ["new"]]


def test_refusals_get_them_too(gateway):
    open_api(gateway, [])
    gateway.bind("headers", "g/a", **policy(("X-Frame-Options", "OVERRIDE", "DENY")))
    gateway.bind("nobody", "g/a", ipAccess={"effect": "ACCESS_EFFECT_DENY", "addresses": ["127.0.0.1"]})
    answer = gateway.call()
    assert answer.status == 403 and answer.header("X-Frame-Options") == "DENY"


def test_protected_headers_are_refused(gateway):
    for name in ("X-Request-Id", "X-Apig-Latency", "Access-Control-Allow-Origin", "Content-Length", "Connection"):
        refused = gateway.controlplane.ctl(
            "apply", "-f", "-", check=False,
            stdin=f"{{kind: Policy, name: policies/bad, responseHeaders: {{headers: [{{name: {name}, value: x, "
                  "action: HEADER_ACTION_TYPE_ADD}]}}")
        assert refused.returncode == 1 and "headers[0].name" in refused.stderr, name
