"""TLS toward callers, step by step: what happens between two messages of a handshake, and behind it."""
import signal
import socket

import pytest

from lib import http2
from lib.tls import Steps
from test_tls import HOST, ask, client, feeder, front, is_closed  # noqa: F401  feeder is what front stands on


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
