"""Who the caller is: IPv6, IPv4 by way of IPv6, and addresses told by X-Forwarded-For."""
import json

import pytest

from lib.gateway import Gateway
from lib.http1 import request
from lib.process import free_port, has_ipv6
from lib.servers import Agent, Echo
from lib.wait import until

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def serve(start, tmp_path, controlplane, backend, *options):
    """A gateway of its own, and a group and an API on it."""
    made = Gateway(controlplane, start(Agent(tmp_path, controlplane, extra=["--workers", "1", *options])), backend)
    made.group("g")
    made.publish(made.api("g/a", "/", match="PREFIX", backend={"http": {"address": backend.address}}))
    return made


def permit(gateway, *addresses):
    gateway.bind("permit", "g/a", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": list(addresses)})


def logged_sources(gateway, count):
    """Of the first requests, once they are in the log."""
    def lines():
        return gateway.agent.access_log.read_text().splitlines()
    until(lambda: len(lines()) >= count, f"{count} lines of the access log")
    return [json.loads(line)["source"] for line in lines()]


@needs_ipv6
def test_callers_and_backends_by_ipv6(start, tmp_path, controlplane):
    backend, port = Echo(("::1", 0)), free_port()
    gateway = serve(start, tmp_path, controlplane, backend, "--listen", f"[::1]:{port}")
    permit(gateway, "::1")
    for host in (gateway.host, f"{gateway.host}:{port}"):
        answer = request(port, "/", host, address="::1")
        assert answer.status == 200, answer
        assert answer.json()["headers"]["X-Forwarded-For"] == "::1"
    assert logged_sources(gateway, 2) == ["::1", "::1"]
    assert request(port, "/", f"[::1]:{port}", address="::1").code == "APIG.0101"  # a host like any other
    assert request(port, "/", "[::1", address="::1").status == 400
    backend.stop()


@needs_ipv6
def test_one_listener_for_both_families(start, tmp_path, controlplane, echo):
    port = free_port()
    gateway = serve(start, tmp_path, controlplane, echo, "--listen", f"*:{port}")
    permit(gateway, "127.0.0.1", "2001:db8::/32")
    answer = request(port, "/", gateway.host)  # comes in as ::ffff:127.0.0.1
    assert answer.status == 200
    assert answer.json()["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert request(port, "/", gateway.host, address="::1").code == "APIG.0402"
    assert logged_sources(gateway, 2) == ["127.0.0.1", "::1"]


def test_the_address_that_x_forwarded_for_tells(start, tmp_path, controlplane, echo):
    gateway = serve(start, tmp_path, controlplane, echo, "--source-from-xff", "--xff-index", "-2")
    permit(gateway, "192.0.2.0/24", "2001:db8::1", "127.0.0.1")
    cases = ((["192.0.2.7, 10.0.0.1"], 200, "192.0.2.7"), (["192.0.2.7", "10.0.0.1"], 200, "192.0.2.7"),
             (["10.0.0.1, 192.0.2.7"], 403, "10.0.0.1"), (["x, 192.0.2.8:99, 1.1.1.1"], 200, "192.0.2.8"),
             (["[2001:DB8::1]:4711, ::1"], 200, "2001:db8::1"), (["::ffff:192.0.2.9,::1"], 200, "192.0.2.9"),
             (["10.0.0.1"], 200, "127.0.0.1"), (["garbage, 10.0.0.1"], 200, "127.0.0.1"), ([], 200, "127.0.0.1"))
    for told, status, _ in cases:
        answer = gateway.call(headers=[("X-Forwarded-For", value) for value in told])
        assert (told, answer.status) == (told, status)
    assert logged_sources(gateway, len(cases)) == [source for _, _, source in cases]


def test_without_that_address_strict_access_control_refuses(start, tmp_path, controlplane, echo):
    gateway = serve(start, tmp_path, controlplane, echo, "--source-from-xff", "--xff-index", "0", "--xff-strict")
    assert gateway.call().status == 200  # nobody asks who it is
    permit(gateway, "127.0.0.1", "192.0.2.7")
    assert gateway.call(headers=[("X-Forwarded-For", "192.0.2.7")]).status == 200
    for told in ([], [("X-Forwarded-For", "unknown")], [("X-Forwarded-For", ", 192.0.2.7")]):
        answer = gateway.call(headers=told)
        assert (answer.status, answer.code) == (403, "APIG.0401")


def test_x_forwarded_for_is_not_believed_unless_asked(start, tmp_path, controlplane, echo):
    gateway = serve(start, tmp_path, controlplane, echo)
    permit(gateway, "192.0.2.7")
    assert gateway.call(headers=[("X-Forwarded-For", "192.0.2.7")]).code == "APIG.0402"
