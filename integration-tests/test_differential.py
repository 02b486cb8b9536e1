"""One corpus of ambiguous requests through the agent, nginx, HAProxy and node: the agent is never laxer than the
strictest of them, and what it passes on can be read in one way only.

Of each case it is compared how many requests reach the backend behind each proxy, and with which bodies:
1. The agent passes on no more requests than the proxy that passes on the fewest, but for JUSTIFIED.
2. Where the others disagree about a body, it passes on nothing, but for JUSTIFIED.
3. Whatever it passes on is HTTP/1.1 in its strictest reading (lib/recorder.py), with one Host, which the API has, and a
   path without an escape, a dot segment or a separator that anybody could undo."""
import collections
import concurrent.futures
import re
import socket

import pytest

from lib.corpus import CASES, HOST
from lib.gateway import Gateway
from lib.process import PATIENCE
from lib.proxies import PATIENCE_MS, HaproxyProxy, NginxProxy, NodeProxy
from lib.recorder import Recorder
from lib.servers import Agent

END = f"GET /end HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()

# Needs no END. (node's parser may refuse what comes behind close before its program has passed the request on.)
ENDS = re.compile(rb"\nConnection: close[^\n]*\r\n\r\n(?!GET)")

# Cases that one of the others refuses and the agent passes on: why that is harmless.
TAB = "RFC 9110 5.6.3: blanks around a value may be tabs; it is written anew without them"
MINOR = "RFC 9110 2.5: a higher minor version is read as the highest known; 1.1 is passed on"
METHOD = "RFC 9110 16.1: any token is a method, and the API takes any (node knows a list)"
BOTH = "both are passed on as they came; they say when to answer with 304 or 412, not what the message is"
JUSTIFIED = {
    "length '\\t5\\t'": TAB, "coding '\\tchunked'": TAB, "coding 'chunked\\t'": TAB, "Host 'g.example.com\\t'": TAB,
    "line 'GET /x HTTP/1.2'": MINOR, "line 'GET /x HTTP/1.9'": MINOR,
    "line 'FOO /x HTTP/1.1'": METHOD, "a byte behind a body": METHOD,
    "twice: If-Match": BOTH, "twice: If-None-Match": BOTH, "twice: If-Range": BOTH, "twice: If-Unmodified-Since": BOTH,
    "target 'http://g.example.com?a'": "RFC 3986 6.2.3: an empty path is a slash; /?a is passed on",
    "with 'Upgrade: websocket' 39": "the upgrade is not passed on: a plain GET is",
    "a request behind close": "RFC 9112 9.6: it is not read; what node does first, refuse it or pass on the one before, is chance",
    "a request behind Upgrade": "the same; node reads no further behind an upgrade that it does not know",
}


class Outcome:
    def __init__(self, statuses, requests):
        self.statuses = statuses
        self.requests = [request for request in requests if request.target != b"/end"]

    @property
    def bodies(self):
        return [request.body for request in self.requests]

    def __str__(self):
        return f"{'/'.join(self.statuses) or '-'} {self.requests or 'refused'}"


def say(port, data):
    """All bytes, then whatever comes until the end; the statuses in it."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_MS / 1000 * 2 * PATIENCE) as connection:
        got = b""
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                got += piece
        except OSError:
            pass  # a reset, or silence
    return re.findall(r"^HTTP/1\.[01] (\d{3})", got.decode("latin-1"), re.MULTILINE)


def run_all(proxy, recorder):
    """One case after another; a request behind each one tells that all of it has been passed on."""
    found = {}
    for name, data in CASES.items():
        statuses = say(proxy.port, data if ENDS.search(data) else data + END)
        say(proxy.port, END)
        found[name] = Outcome(statuses, recorder.take())
    return found


@pytest.fixture
def outcomes(start, tmp_path, controlplane):
    """proxy -> case -> outcome."""
    recorders = {name: Recorder() for name in ("agent", "nginx", "haproxy", "node")}
    patience = f"{PATIENCE_MS}ms"
    agent = start(Agent(tmp_path, controlplane, extra=["--head-timeout", patience, "--body-timeout", patience,
                                                       "--idle-timeout", patience, "--workers", "1"]))
    gateway = Gateway(controlplane, agent, recorders["agent"])
    gateway.group("g", HOST)
    gateway.publish(gateway.api("g/a", "/", method="ANY", match="PREFIX"))
    proxies = {"agent": agent, "nginx": start(NginxProxy(tmp_path, recorders["nginx"])),
               "haproxy": start(HaproxyProxy(tmp_path, recorders["haproxy"])),
               "node": start(NodeProxy(tmp_path, recorders["node"]))}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = {name: pool.submit(run_all, proxies[name], recorders[name]) for name in proxies}
        yield {name: future.result() for name, future in found.items()}
    for recorder in recorders.values():
        recorder.stop()


def ambiguity(request):
    """Why what the agent passes on could be read in two ways; None: it cannot."""
    if request.garbled:
        return request.garbled
    if len(request.all(b"host")) != 1 or not re.fullmatch(r"127\.0\.0\.1:\d+", request.all(b"host")[0].decode()):
        return f"Host {request.all(b'host')}"
    if not re.fullmatch(rf"{HOST}\.?(:80)?", request.all(b"x-forwarded-host")[0].decode().lower()):
        return f"X-Forwarded-Host {request.all(b'x-forwarded-host')}"
    path = request.target.split(b"?")[0]
    if not re.fullmatch(rb"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-F]{2})*", path):
        return f"path {path}"
    if re.search(rb"%(?:2[Ff]|00|0[AaDd])|//|/\.\.?(?:[/;]|$)", path):
        return f"path {path}"
    return None


def verdicts(outcomes):
    """case -> what is wrong with it."""
    for case in CASES:
        mine, others = outcomes["agent"][case], [outcomes[name][case] for name in outcomes if name != "agent"]
        for request in mine.requests:
            if ambiguity(request):
                yield case, f"can be read in two ways: {ambiguity(request)}"
        if case in JUSTIFIED:
            continue
        if len(mine.requests) > min(len(other.requests) for other in others):
            yield case, "is refused by another"
        elif any(collections.Counter(mine.bodies) - collections.Counter(other.bodies) for other in others):
            yield case, "has another body elsewhere"


def table(outcomes, wrong):
    rows = [("case", *outcomes, "")]
    rows += [(case, *(str(outcomes[name][case])[:60] for name in outcomes), why) for case, why in wrong]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows)


def test_the_agent_is_never_laxer_than_the_strictest_proxy(outcomes):
    assert not set(JUSTIFIED) - set(CASES)
    wrong = list(verdicts(outcomes))
    assert not wrong, f"{len(wrong)} of {len(CASES)} cases\n{table(outcomes, wrong)}"
