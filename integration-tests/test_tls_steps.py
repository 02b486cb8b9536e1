"""TLS toward callers, step by step: what happens between two messages of a handshake, and behind it."""
import contextlib
import signal
import socket
import ssl
import subprocess

import pytest

from lib import http2
from lib.feeder import certificate
from lib.script import Script
from lib.tls import Steps
from lib.wait import until
from test_tls import HOST, Front, api, ask, client, domain, front, group, is_closed  # noqa: F401  front is a fixture


def drain(front):
    """Begins one, and waits until idle connections have been closed for it."""
    with socket.create_connection(("127.0.0.1", front.port), 20) as idle:
        front.signal(signal.SIGTERM)
        assert is_closed(idle)


@pytest.mark.parametrize("said", [0, 0.5, 1], ids=["nothing", "half a hello", "a hello"])
def test_a_handshake_within_a_drain_is_finished_and_its_request_answered(front, certificates, said):
    with Steps(front.tls_port, client(certificates), HOST) as caller:
        caller.say(said)
        drain(front)
        caller.shake_hands()
        status, headers, body = ask(caller)
        assert (status, headers["connection"], body) == (200, "close", b"hello")
    assert front.popen.wait(20) == 0


def test_one_that_agrees_on_http2_hears_goaway_and_is_answered(front, certificates):
    context = client(certificates)
    context.set_alpn_protocols(["h2"])
    with Steps(front.tls_port, context, HOST) as caller:
        caller.say(1)
        drain(front)
        caller.shake_hands()
        session = http2.Session(None, HOST, over=caller)
        stream = session.request(scheme="https")
        assert session.until(http2.GOAWAY).code == http2.NO_ERROR
        assert session.answer(stream).body == b"hello"
    assert front.popen.wait(20) == 0


def test_who_says_nothing_behind_a_handshake_within_a_drain_is_closed(front, certificates):
    with Steps(front.tls_port, client(certificates), HOST) as caller:
        caller.say(1)
        drain(front)
        caller.shake_hands()
        assert caller.recv(1) == b""
    assert front.popen.wait(20) == 0


def test_changes_of_keys_without_data_end_the_connection_and_are_counted(front, certificates):
    said = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{front.tls_port}", "-servername", HOST, "-tls1_3",
                             "-CAfile", certificates.ca], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, bufsize=1)
    try:
        with contextlib.suppress(BrokenPipeError):
            for _ in range(100):  # 33 are too many
                said.stdin.write("k\n")
                while "KEYUPDATE" not in (line := said.stderr.readline()) and line:
                    pass
        said.wait(20)
    finally:
        said.kill()
        said.communicate()
    until(lambda: front.metric('penstock_agent_tls_floods_total{reason="messages"}') == 1, "the count")
    with Steps(front.tls_port, client(certificates), HOST) as caller:
        caller.shake_hands()
        assert ask(caller)[0] == 200


def test_handshakes_at_once_have_a_limit(tmp_path, feeder, certificates, start):
    feeder.prepare(certificate("a", certificates.issue(HOST, f"DNS:{HOST}")), group(domain(HOST, "a")), api())
    front = start(Front(tmp_path, feeder, extra=["--workers", "1", "--tls-handshakes-max", "2"]))
    context = client(certificates)
    with Steps(front.tls_port, context, HOST) as first, Steps(front.tls_port, context, HOST) as second:
        first.say(0.5)
        second.say(0.5)
        until(lambda: front.metric("penstock_agent_tls_handshakes_in_progress") == 2, "both to have begun")
        with socket.create_connection(("127.0.0.1", front.tls_port), 20) as third:
            assert is_closed(third)
        until(lambda: front.metric('penstock_agent_tls_failures_total{reason="too_many"}') == 1, "the count")
        first.shake_hands()
        assert ask(first)[0] == 200  # its last message has come as well
        with Steps(front.tls_port, context, HOST) as third:
            third.shake_hands()
            assert ask(third)[0] == 200
    until(lambda: front.metric("penstock_agent_tls_handshakes_in_progress") == 0, "none to be left")


def strictly(front, certificates):
    """A connection to whose caller an end that nobody announced is an error."""
    context = client(certificates)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    raw = socket.create_connection(("127.0.0.1", front.tls_port), 20)
    return context.wrap_socket(raw, server_hostname=HOST, suppress_ragged_eofs=False)


@pytest.mark.parametrize("version,fields", [("1.0", ""), ("1.1", "Connection: close\r\n"), ("1.1", "")],
                         ids=["HTTP/1.0", "asked for", "idle"])
def test_an_end_is_announced(tmp_path, feeder, certificates, start, version, fields):
    """Without a close_notify a caller cannot tell whether somebody else has cut the connection (RFC 9112 9.8)."""
    feeder.prepare(certificate("a", certificates.issue(HOST, f"DNS:{HOST}")), group(domain(HOST, "a")), api())
    front = start(Front(tmp_path, feeder, extra=["--idle-timeout", "300ms"]))
    with strictly(front, certificates) as caller:
        caller.sendall(f"GET / HTTP/{version}\r\nHost: {HOST}\r\n{fields}\r\n".encode())
        data = b""
        while piece := caller.recv(1000):  # an error, if nothing is announced
            data += piece
        assert data.endswith(b"\r\n\r\nhello")


def test_a_cut_is_not_announced(front, feeder, certificates):
    script = Script()
    script.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")  # and no end of it
    cut = api()
    cut["route"]["backend"] = {"http": {"host": "127.0.0.1", "port": script.port, "timeout_ms": 20000}}
    feeder.tell(certificate("a", certificates.issue(HOST, f"DNS:{HOST}")), group(domain(HOST, "a")), cut)
    with strictly(front, certificates) as caller:
        caller.sendall(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        with pytest.raises((ssl.SSLError, ConnectionError)):
            while caller.recv(1000):
                pass
    script.stop()
