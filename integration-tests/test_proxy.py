"""The PROXY protocol: whose connection it is, told before its bytes."""
import socket
import struct

import pytest

from lib.gateway import Gateway
from lib.http1 import Connection, request
from lib.process import Process, free_port
from lib.servers import Agent
from lib.wait import until

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"
V4_PAIR = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 4711, 443)
V6_PAIR = (socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "2001:db8::1") +
           struct.pack("!HH", 4711, 443))


def v2(command, family, body):
    return V2 + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


@pytest.fixture
def gateway(start, tmp_path, controlplane, echo):
    """With a listener that expects PROXY headers (`proxied`) beside the usual one."""
    proxied, plain = free_port(), free_port()
    agent = start(Agent(tmp_path, controlplane, extra=["--workers", "1", "--head-timeout", "500ms", "--listen",
                                                       f"127.0.0.1:{plain}, 127.0.0.1:{proxied} proxy"]))
    made = Gateway(controlplane, agent, echo)
    agent.port, made.proxied = plain, proxied
    made.group("g")
    made.publish(made.api("g/a", "/", match="PREFIX"))
    return made


def get(gateway):
    return f"GET / HTTP/1.1\r\nHost: {gateway.host}\r\n\r\n".encode()


def refused(gateway):
    return gateway.agent.metric("penstock_agent_proxy_headers_refused_total")


@pytest.mark.parametrize("header,source,port", [
    (V1, "192.0.2.7", "443"), (v2(1, 0x11, V4_PAIR), "192.0.2.7", "443"), (v2(1, 0x21, V6_PAIR), "2001:db8::7", "443"),
    (v2(1, 0x11, V4_PAIR + b"\4\0\3abc"), "192.0.2.7", "443"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1", None), (v2(0, 0, b""), "127.0.0.1", None), (v2(1, 0x31, b"a" * 216), "127.0.0.1", None),
], ids=["v1", "v2", "v2 ipv6", "more behind", "unknown", "local", "unix"])
def test_the_header_says_whose_connection_it_is(gateway, header, source, port):
    with Connection(gateway.proxied) as connection:
        for _ in range(2):  # of all its requests
            headers = connection.send(header + get(gateway)).read().json()["headers"]
            assert headers["X-Forwarded-For"] == source
            assert headers["X-Forwarded-Port"] == (port or str(gateway.proxied))
            header = b""


def test_access_control_sees_the_address_of_the_header(gateway):
    gateway.bind("permit", "g/a", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["192.0.2.7"]})
    with Connection(gateway.proxied) as connection:
        assert connection.send(V1 + get(gateway)).read().status == 200
    with Connection(gateway.proxied) as connection:
        assert connection.send(V1.replace(b".2.7", b".2.8") + get(gateway)).read().code == "APIG.0402"


def test_a_header_may_come_byte_by_byte(gateway):
    for header in (V1, v2(1, 0x11, V4_PAIR + b"\4\0\3abc")):
        with Connection(gateway.proxied) as connection:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in header:
                connection.send(bytes([byte]))
            assert connection.send(get(gateway)).read().json()["headers"]["X-Forwarded-For"] == "192.0.2.7"


def test_without_a_header_a_connection_is_closed(gateway):
    bad = (get(gateway), V1.lower(), V2 + b"\x31", v2(1, 0x11, V4_PAIR[:-1]), b"PROXY " + b"x" * 200)
    for said in bad:
        with Connection(gateway.proxied) as connection:
            try:
                assert connection.send(said).read() is None
            except ConnectionResetError:
                pass  # what was said after the header was not read
    until(lambda: refused(gateway) == len(bad), "all to be counted")
    assert gateway.backend.requests == []


def test_a_header_must_come_in_time(gateway):
    with Connection(gateway.proxied) as silent, Connection(gateway.proxied) as slow:
        slow.send(V1[:20])
        assert silent.is_closed() and slow.is_closed()
    until(lambda: refused(gateway) == 2, "both to be counted")


def test_a_listener_without_the_word_never_takes_one(gateway):
    for header in (V1, v2(1, 0x11, V4_PAIR)):
        with Connection(gateway.agent.port) as connection:
            assert connection.send(header + get(gateway)).read().status == 400
    assert request(gateway.agent.port, "/", gateway.host).status == 200


def test_connections_that_wait_do_not_hold_up_a_drain(gateway):
    with Connection(gateway.proxied) as connection:
        connection.send(V1[:20])
        assert gateway.agent.stop() == 0


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"])
def test_haproxy_as_the_sender(gateway, start, tmp_path, words):
    port, config = free_port(), tmp_path / "haproxy.cfg"
    config.write_text(f"""
        listen front
          mode tcp
          timeout connect 5s
          timeout client 5s
          timeout server 5s
          bind 127.0.0.1:{port}
          server agent 127.0.0.1:{gateway.proxied} {words}\n""")
    process = Process("haproxy", ["/usr/sbin/haproxy", "-db", "-f", config], tmp_path).launch()
    until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, "haproxy to listen")
    with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.77", 0)) as caller:
        caller.sendall(get(gateway).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert b'"X-Forwarded-For": "127.0.0.77"' in caller.makefile("rb").read()
    process.kill()
