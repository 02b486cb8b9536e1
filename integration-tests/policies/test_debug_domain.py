"""The debugging domain of a group."""
from lib.http1 import Connection


def test_it_leads_to_its_group_and_stops_after_a_thousand_calls(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend={"mock": {}}))
    host = gateway.controlplane.get("group", "g")["debugDomain"]
    statuses = []
    with Connection(gateway.agent.port) as connection:
        for _ in range(1001):
            connection.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
            statuses.append(connection.read())
    assert {answer.status for answer in statuses[:1000]} == {200}
    assert (statuses[1000].status, statuses[1000].code) == (429, "APIG.0308")
    assert gateway.call().status == 200


def test_it_can_be_switched_off(gateway):
    gateway.group("g")
    gateway.publish(gateway.api("g/a", backend={"mock": {}}))
    host = gateway.controlplane.get("group", "g")["debugDomain"]
    assert gateway.call(host=host).status == 200
    gateway.controlplane.apply({"kind": "ApiGroup", "name": "groups/g", "debugDomainDisabled": True})
    gateway.settle()
    answer = gateway.call(host=host)
    assert (answer.status, answer.code) == (404, "APIG.0101")
