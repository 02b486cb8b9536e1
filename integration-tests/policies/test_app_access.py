"""Which apps may call."""
CODE = "c0de" * 20


def open_api(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", auth={"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True}))
    gateway.controlplane.apply({"kind": "App", "name": "apps/shop"},
                               {"kind": "AppCode", "name": "apps/shop/codes/main", "code": CODE})
    gateway.settle()


def call(gateway, **options):
    return gateway.call(headers=[("X-Apig-AppCode", CODE)], **options)


def test_a_new_app_may_call_nothing_until_it_is_authorized(gateway):
    open_api(gateway)
    answer = call(gateway)
    assert (answer.status, answer.code) == (403, "APIG.0304")
    gateway.controlplane.apply({"kind": "Authorization", "name": "apps/shop/authorizations/one", "api": "groups/g/apis/a"})
    gateway.settle()
    assert call(gateway).status == 200


def test_an_authorization_is_for_one_environment(gateway):
    open_api(gateway)
    gateway.controlplane.apply({"kind": "Environment", "name": "environments/TEST"},
                               {"kind": "Authorization", "name": "apps/shop/authorizations/test",
                                "api": "groups/g/apis/a", "environment": "environments/TEST"})
    gateway.publish("g/a", "TEST")
    assert call(gateway).status == 403
    answer = gateway.call(headers=[("X-Apig-AppCode", CODE), ("X-Stage", "TEST")])
    assert answer.status == 200


def test_a_frozen_app_is_refused(gateway):
    open_api(gateway)
    gateway.controlplane.apply({"kind": "Authorization", "name": "apps/shop/authorizations/one", "api": "groups/g/apis/a"},
                               {"kind": "App", "name": "apps/shop", "frozen": True})
    gateway.settle()
    answer = call(gateway)
    assert (answer.status, answer.code) == (403, "APIG.0502")


def test_an_app_is_let_in_from_its_addresses_whatever_api(gateway):
    open_api(gateway)
    gateway.controlplane.apply({"kind": "Authorization", "name": "apps/shop/authorizations/one", "api": "groups/g/apis/a"})
    for effect, addresses, status in (("PERMIT", ["10.0.0.0/8", "127.0.0.1-127.0.0.9"], 200), ("PERMIT", ["10.0.0.0/8"], 403),
                                      ("DENY", ["127.0.0.0/8"], 403), ("DENY", ["::1"], 200)):
        gateway.controlplane.apply({"kind": "App", "name": "apps/shop",
                                    "ipAccess": {"effect": f"ACCESS_EFFECT_{effect}", "addresses": addresses}})
        gateway.settle()
        answer = call(gateway)
        assert (answer.status, answer.code if status == 403 else None) == (status, "APIG.0405" if status == 403 else None)
    gateway.controlplane.apply({"kind": "App", "name": "apps/shop", "ipAccess": None})
    gateway.settle()
    assert call(gateway).status == 200
    refused = gateway.controlplane.ctl("apply", "-f", "-", check=False, stdin="{kind: App, name: apps/shop, ipAccess: {addresses: [x]}}\n")
    assert "ip_access.effect" in refused.stderr and "ip_access.addresses[0]" in refused.stderr


def test_a_deleted_app_is_unknown(gateway):
    open_api(gateway)
    gateway.controlplane.ctl("delete", "app", "shop")
    gateway.settle()
    assert call(gateway).status == 401
