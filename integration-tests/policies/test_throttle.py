"""Throttling. Limits a day: a window does not end while a test runs, but at midnight."""
CODE = "c0de" * 20


def throttle(limit, **more):
    return {"throttle": {"unit": "TIME_UNIT_DAY", "apiLimit": str(limit), **more}}


def open_api(gateway, name="g/a", path="/"):
    gateway.publish(gateway.api(name, path))


def statuses(gateway, count, **options):
    return [gateway.call(**options).status for _ in range(count)]


def test_calls_beyond_the_limit_are_refused_with_when_to_come_again(gateway):
    gateway.group("g")
    open_api(gateway)
    gateway.bind("three", "g/a", **throttle(3))
    assert statuses(gateway, 3) == [200, 200, 200]
    answer = gateway.call()
    assert (answer.status, answer.code) == (429, "APIG.0308")
    assert 0 < int(answer.header("Retry-After")) <= 86400
    assert len(gateway.backend.requests) == 3


def test_apis_are_counted_apart_or_together(gateway):
    gateway.group("g")
    open_api(gateway, "g/a", "/a")
    open_api(gateway, "g/b", "/b")
    gateway.bind("each", "g/a", **throttle(2))
    gateway.bind("each", "g/b", **throttle(2))
    assert [gateway.call(path).status for path in ("/a", "/a", "/b", "/b", "/a")] == [200, 200, 200, 200, 429]
    gateway.bind("each", "g/b", **throttle(2, scope="THROTTLE_SCOPE_SHARED"))
    assert [gateway.call(path).status for path in ("/a", "/b", "/a", "/b")] == [200, 200, 429, 429]


def test_an_address_has_a_limit_of_its_own(gateway):
    gateway.group("g")
    open_api(gateway)
    gateway.bind("few", "g/a", **throttle(100, ipLimit="2"))
    assert statuses(gateway, 3) == [200, 200, 429]


def test_apps_are_counted_apart_and_exceptions_hold(gateway):
    gateway.group("g")
    gateway.api("g/a", auth={"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True})
    for app in ("one", "two"):
        gateway.controlplane.apply({"kind": "App", "name": f"apps/{app}"},
                                   {"kind": "AppCode", "name": f"apps/{app}/codes/c", "code": app + CODE},
                                   {"kind": "Authorization", "name": f"apps/{app}/authorizations/a", "api": "groups/g/apis/a"})
    gateway.publish("g/a")
    gateway.bind("apps", "g/a", **throttle(100, appLimit="1", exceptions=[{"app": "apps/two", "limit": "3"}]))
    one, two = [("X-Apig-AppCode", "one" + CODE)], [("X-Apig-AppCode", "two" + CODE)]
    assert statuses(gateway, 2, headers=one) == [200, 429]
    assert statuses(gateway, 4, headers=two) == [200, 200, 200, 429]


def test_a_refused_call_consumes_nothing(gateway):
    gateway.group("g")
    open_api(gateway)
    gateway.bind("both", "g/a", **throttle(3, ipLimit="1"))
    assert statuses(gateway, 5) == [200, 429, 429, 429, 429]
    gateway.bind("both", "g/a", **throttle(3, ipLimit="3"))
    assert statuses(gateway, 3) == [200, 200, 429]


def test_counters_outlive_unrelated_changes(gateway):
    gateway.group("g")
    open_api(gateway)
    gateway.bind("two", "g/a", **throttle(2))
    assert statuses(gateway, 2) == [200, 200]
    open_api(gateway, "g/other", "/other")
    open_api(gateway)
    assert gateway.call().status == 429


def test_a_narrow_limit_above_the_wide_one_is_refused(gateway):
    refused = gateway.controlplane.ctl("apply", "-f", "-", check=False, stdin="""
        {kind: Policy, name: policies/bad, throttle: {apiLimit: 5, ipLimit: 6}}""")
    assert refused.returncode == 1 and "throttle.ip_limit" in refused.stderr
