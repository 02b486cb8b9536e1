"""IP access control."""


def policy(effect, *addresses):
    return {"ipAccess": {"effect": f"ACCESS_EFFECT_{effect}", "addresses": addresses}}


def open_api(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a"))
    assert gateway.call().status == 200


def test_a_denied_address_is_refused_and_bound_live(gateway):
    open_api(gateway)
    gateway.bind("nobody", "g/a", **policy("DENY", "127.0.0.0/8"))
    answer = gateway.call()
    assert (answer.status, answer.code) == (403, "APIG.0402")


def test_only_permitted_addresses_pass(gateway):
    open_api(gateway)
    gateway.bind("others", "g/a", **policy("PERMIT", "192.0.2.1", "10.0.0.1-10.0.0.9", "2001:db8::/32"))
    assert gateway.call().status == 403
    gateway.bind("others", "g/a", **policy("PERMIT", "192.0.2.1", "127.0.0.1-127.0.0.9"))
    assert gateway.call().status == 200


def test_an_unbound_policy_does_nothing(gateway):
    open_api(gateway)
    gateway.bind("nobody", "g/a", **policy("DENY", "127.0.0.1"))
    assert gateway.call().status == 403
    gateway.controlplane.ctl("delete", "binding", "nobody/g.a.RELEASE")
    gateway.settle()
    assert gateway.call().status == 200


def test_a_bad_address_is_named(gateway):
    refused = gateway.controlplane.ctl("apply", "-f", "-", check=False, stdin="""
        {kind: Policy, name: policies/bad, ipAccess: {effect: ACCESS_EFFECT_DENY, addresses: ["10.0.0.1", "10.0.0.300"]}}""")
    assert refused.returncode == 1
    assert "addresses[1]" in refused.stderr
