"""TLS toward callers. What agents are told comes from a feeder, so that each scenario says it message by message."""
import json
import socket
import ssl
import subprocess
import time

import pytest

from lib.certificates import Authority
from lib.feeder import certificate
from lib.gateway import Gateway
from lib.process import PATIENCE, free_port
from lib.servers import Agent
from lib.wait import until

HOST, OTHER = "a.example.com", "b.example.com"


class Front(Agent):
    """An agent that listens in the clear and over TLS."""

    def __init__(self, folder, feeder, name="agent", extra=()):
        super().__init__(folder, feeder, name, extra)
        self.tls_port = free_port()
        self.command[self.command.index("--listen") + 1] += f", 127.0.0.1:{self.tls_port} tls"


@pytest.fixture
def front(tmp_path, feeder, certificates, start):
    """Serves HOST with a certificate "a"; a group and one API, unless told otherwise."""
    agent = Front(tmp_path, feeder)
    feeder.prepare(certificate("a", certificates.issue(HOST, f"DNS:{HOST}")), group(domain(HOST, "a")), api())
    return start(agent)


def domain(host, *certificates, min_version=2, **more):
    return {"host": host, "certificates": [f"certificates/{name}" for name in certificates],
            "min_version": min_version, **more}


def group(*tls, domains=()):
    return {"group": {"name": "groups/g", "domains": [*domains, *[one["host"] for one in tls]], "tls": tls}}


def api(body=b"hello", http=True, https=True):
    return {"route": {"name": "groups/g/apis/a@RELEASE", "group": "groups/g", "environment": "RELEASE",
                      "api": "groups/g/apis/a", "api_name": "a", "method": "ANY", "path": "/", "prefix": True,
                      "http": http, "https": https, "backend": {"mock": {"status": 200, "body": body}}}}


def client(authority, version=None, mine=None, ciphers=None):
    context = ssl.create_default_context(cafile=authority.ca)
    if version:
        context.minimum_version = context.maximum_version = version
    if version and version < ssl.TLSVersion.TLSv1_2:
        ciphers = ciphers or "DEFAULT@SECLEVEL=0"
    if ciphers:
        context.set_ciphers(ciphers)
    if mine:
        context.load_cert_chain(mine.cert, mine.key)
    return context


def connect(port, context, name=HOST, session=None):
    raw = socket.create_connection(("127.0.0.1", port), 10)
    return context.wrap_socket(raw, server_hostname=name, session=session)


def ask(connection, host=HOST, path="/", method="GET"):
    """Sends one request over the connection: status, headers, body."""
    connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += received(connection)
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)) and method != "HEAD":
        body += received(connection)
    return int(lines[0].split()[1]), headers, body


def received(connection):
    data = connection.recv(65536)
    assert data, "the connection ended too early"
    return data


def is_closed(connection):
    return connection.recv(1) == b""


def call(port, context, name=HOST, **options):
    with connect(port, context, name) as connection:
        return ask(connection, host=name, **options)


def error_code(answer):
    return json.loads(answer[2])["error_code"]


def test_a_domain_is_served_over_tls(front, certificates):
    with connect(front.tls_port, client(certificates)) as connection:
        assert connection.version() == "TLSv1.3"
        assert ask(connection)[2] == b"hello"
        assert ask(connection)[2] == b"hello"
    until(lambda: front.metric('penstock_agent_tls_handshakes_total{version="TLSv1.3"}') == 1, "the count")
    lines = [json.loads(line) for line in front.access_log.read_text().splitlines()]
    assert [(line["scheme"], line["tls_version"], line["server_name"]) for line in lines] == [
        ("https", "TLSv1.3", HOST)] * 2


def test_each_name_gets_its_certificate(front, feeder, certificates):
    wild = certificates.issue("wild", "DNS:*.example.com")
    feeder.tell(certificate("a", certificates.issue(HOST, f"DNS:{HOST}")), certificate("wild", wild),
                group(domain(HOST, "a"), domain("*.example.com", "wild")), api())
    for name, subject in ((HOST, HOST), ("x.example.com", "wild"), (HOST.upper(), HOST)):
        with connect(front.tls_port, client(certificates), name) as connection:
            assert (("commonName", subject),) in connection.getpeercert()["subject"]


def test_an_unknown_name_is_refused_and_none_gets_the_first(front, certificates):
    with pytest.raises(ssl.SSLError, match="unrecognized name"):
        connect(front.tls_port, client(certificates), "nobody.example.org")
    nameless = client(certificates)
    nameless.check_hostname = False
    with connect(front.tls_port, nameless, None) as connection:
        assert ask(connection)[2] == b"hello"


def test_without_certificates_the_handshake_is_refused_and_counted(tmp_path, feeder, certificates, start):
    feeder.prepare(group(domains=[HOST]), api())
    front = start(Front(tmp_path, feeder))
    with pytest.raises(ssl.SSLError):
        connect(front.tls_port, client(certificates), HOST)
    until(lambda: front.metric('penstock_agent_tls_failures_total{reason="unknown_name"}') == 1, "the count")
    assert ask(socket.create_connection(("127.0.0.1", front.port)))[2] == b"hello"


def test_rsa_and_ecdsa_side_by_side(front, feeder, certificates):
    feeder.tell(certificate("ec", certificates.issue(HOST, f"DNS:{HOST}")),
                certificate("rsa", certificates.issue(HOST, f"DNS:{HOST}", kind="rsa:2048")),
                group(domain(HOST, "rsa", "ec")), api())
    for kind in ("ECDSA", "RSA"):
        context = client(certificates, ssl.TLSVersion.TLSv1_2, ciphers=f"ECDHE-{kind}-AES128-GCM-SHA256")
        with connect(front.tls_port, context) as connection:
            assert kind in connection.cipher()[0]


def test_the_minimum_version_is_the_domains(front, feeder, certificates):
    old, new = certificates.issue(OTHER, f"DNS:{OTHER}"), certificates.issue(HOST, f"DNS:{HOST}")
    feeder.tell(certificate("a", new), certificate("b", old),
                group(domain(HOST, "a"), domain(OTHER, "b", min_version=1), domain("c.example.com", "a", min_version=3)),
                api())
    tls11, tls12 = client(certificates, ssl.TLSVersion.TLSv1_1), client(certificates, ssl.TLSVersion.TLSv1_2)
    assert call(front.tls_port, tls11, OTHER)[0] == 200
    assert call(front.tls_port, tls12)[0] == 200
    for context, name in ((tls11, HOST), (tls12, "c.example.com")):
        with pytest.raises(ssl.SSLError, match="protocol version"):
            connect(front.tls_port, context, name)
    with connect(front.tls_port, tls11, OTHER) as connection:
        answer = ask(connection, HOST)
        assert answer[0] == 400 and json.loads(answer[2])["error_msg"] == "SSL protocol is not supported: TLSv1.1"
        assert error_code(answer) == "APIG.0204" and is_closed(connection)
    until(lambda: front.metric('penstock_agent_tls_failures_total{reason="version"}') == 2, "the count")


def test_ciphers_are_the_domains(front, feeder, certificates):
    feeder.tell(certificate("a", certificates.issue(HOST, f"DNS:{HOST}")),
                group(domain(HOST, "a", ciphers=["ECDHE-ECDSA-AES256-GCM-SHA384"])), api())
    with connect(front.tls_port, client(certificates, ssl.TLSVersion.TLSv1_2)) as connection:
        assert connection.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    with pytest.raises(ssl.SSLError, match="handshake failure"):
        connect(front.tls_port, client(certificates, ssl.TLSVersion.TLSv1_2,
                                       ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))


@pytest.fixture
def callers(tmp_path):
    return Authority(tmp_path, "callers")


@pytest.fixture
def verifying(front, feeder, certificates, callers):
    """HOST asks for certificates of `callers`; OTHER for none."""
    one, two = certificates.issue(HOST, f"DNS:{HOST}"), certificates.issue(OTHER, f"DNS:{OTHER}")
    feeder.tell(certificate("a", one, callers), certificate("b", two),
                group(domain(HOST, "a", verify_client_certificate=True), domain(OTHER, "b")), api())
    return front


def test_callers_with_a_certificate_of_the_domains_authorities_are_served(verifying, certificates, callers):
    mine = callers.issue("shop")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert call(verifying.tls_port, client(certificates, version, mine))[0] == 200
    until(lambda: "shop" in verifying.access_log.read_text(), "the log")
    assert json.loads(verifying.access_log.read_text().splitlines()[0])["client_subject"] == "CN=shop"


def test_callers_without_one_are_told_why(verifying, certificates):
    foreign = certificates.issue("stranger")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for mine in (None, foreign):
            with connect(verifying.tls_port, client(certificates, version, mine)) as connection:
                answer = ask(connection)
                assert answer[0] == 400 and error_code(answer) == "APIG.0205" and is_closed(connection)
    until(lambda: verifying.metric("penstock_agent_tls_unverified_total") == 4, "the count")


def test_the_host_of_a_request_does_not_get_around_its_domain(verifying, certificates, callers):
    for mine in (None, callers.issue("shop")):
        with connect(verifying.tls_port, client(certificates, mine=mine), OTHER) as connection:
            answer = ask(connection, HOST)
            assert answer[0] == 421 and error_code(answer) == "APIG.0205" and is_closed(connection)


def test_a_weak_certificate_is_refused_on_either_way(front, feeder, certificates, callers, tmp_path):
    one, two = certificates.issue(HOST, f"DNS:{HOST}"), certificates.issue(OTHER, f"DNS:{OTHER}")
    feeder.tell(certificate("a", one, callers), certificate("b", two, Authority(tmp_path, "others")),
                group(*(domain(host, name, verify_client_certificate=True) for host, name in ((HOST, "a"), (OTHER, "b")))), api())
    for kind, status in (("rsa:2048", 200), ("rsa:1024", 400)):
        context = client(certificates, ciphers="DEFAULT@SECLEVEL=0", mine=callers.issue("shop", kind=kind))
        for name in (HOST, OTHER):  # asked by the domain itself, and looked at again
            with connect(front.tls_port, context, name) as connection:
                assert ask(connection, HOST)[0] == status, (kind, name)


def test_a_session_of_one_domain_is_none_of_another(verifying, certificates):
    context = client(certificates, ssl.TLSVersion.TLSv1_2)
    context.check_hostname = False
    with connect(verifying.tls_port, context, OTHER) as connection:
        assert ask(connection, OTHER)[0] == 200
        session = connection.session
    with connect(verifying.tls_port, context, OTHER, session) as connection:
        assert connection.session_reused
    with connect(verifying.tls_port, context, HOST, session) as connection:
        assert not connection.session_reused
        assert ask(connection)[0] == 400


def test_verification_that_is_switched_on_counts_at_once(front, feeder, certificates, callers):
    issued = certificates.issue(HOST, f"DNS:{HOST}")
    with connect(front.tls_port, client(certificates)) as connection:
        assert ask(connection)[0] == 200
        feeder.tell(certificate("a", issued, callers), group(domain(HOST, "a", verify_client_certificate=True)), api())
        assert ask(connection)[0] == 421
    assert call(front.tls_port, client(certificates, mine=callers.issue("shop")))[0] == 200


def test_authorities_that_are_replaced_count_for_open_connections(verifying, feeder, certificates, callers, tmp_path):
    issued, others = certificates.issue(HOST, f"DNS:{HOST}"), Authority(tmp_path, "others")
    both = tmp_path / "both.pem"
    with connect(verifying.tls_port, client(certificates, mine=callers.issue("shop"))) as connection:
        assert ask(connection)[0] == 200
        both.write_text(others.ca.read_text() + callers.ca.read_text())
        for ca, status in ((both, 200), (others.ca, 400)):
            one = certificate("a", issued)
            one["certificate"]["ca_pem"] = ca.read_text()
            feeder.tell(one, group(domain(HOST, "a", verify_client_certificate=True)), api())
            assert ask(connection)[0] == status


def keys(*letters):
    return {"ticket_keys": {"name": "ticketKeys", "keys": [
        {"name": letter * 16, "aes_key": letter * 32, "hmac_key": letter.upper() * 32} for letter in letters]}}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_by_another_agent(front, feeder, certificates, tmp_path, start, version):
    everything = certificate("a", certificates.issue(HOST, f"DNS:{HOST}")), group(domain(HOST, "a")), api()
    other = start(Front(tmp_path, feeder, "other"))
    context = client(certificates, version)
    feeder.tell(*everything, keys(b"a"))
    session = resumable(front, context)
    assert is_resumed(other, context, session)
    feeder.tell(*everything, keys(b"b", b"a"))
    assert is_resumed(other, context, session)
    feeder.tell(*everything, keys(b"b"))
    assert not is_resumed(front, context, session)
    assert is_resumed(front, context, resumable(other, context))


def resumable(agent, context, host=HOST):
    with connect(agent.tls_port, context, host) as connection:
        ask(connection, host)
        return connection.session


def is_resumed(agent, context, session, host=HOST):
    with connect(agent.tls_port, context, host, session) as connection:
        assert ask(connection, host)[0] == 200
        return connection.session_reused


def test_without_keys_the_workers_of_an_agent_resume_each_others_sessions(front, certificates):
    context = client(certificates, ssl.TLSVersion.TLSv1_2)
    session = resumable(front, context)
    assert all(is_resumed(front, context, session) for _ in range(8))


def test_a_certificate_is_replaced_under_load(front, feeder, certificates):
    load = subprocess.Popen(["wrk", "-t1", "-c8", "-d4s", "-H", f"Host: {HOST}", f"https://127.0.0.1:{front.tls_port}/"],
                            stdout=subprocess.PIPE, text=True)
    standing = connect(front.tls_port, client(certificates))
    for _ in range(10):
        issued = certificates.issue(HOST, f"DNS:{HOST}")
        feeder.tell(certificate("a", issued), group(domain(HOST, "a")), api())
        with connect(front.tls_port, client(certificates)) as connection:
            assert connection.getpeercert(True) == ssl.PEM_cert_to_DER_cert(issued.cert.read_text())
        assert ask(standing)[0] == 200
    report = load.communicate(timeout=60)[0]
    assert "Non-2xx" not in report and "Socket errors" not in report, report
    assert front.metric("penstock_agent_tls_contexts") <= 4


def test_a_bad_certificate_is_refused_alone(front, feeder, certificates, tmp_path):
    issued, other = certificates.issue(HOST, f"DNS:{HOST}"), certificates.issue(OTHER, f"DNS:{OTHER}")
    feeder.tell(certificate("a", issued), group(domain(HOST, "a")), api())
    wrong = certificate("a", issued)
    wrong["certificate"]["private_key_pem"] = other.key.read_text()
    refused = feeder.tell(wrong, group(domain(HOST, "a")), api(b"changed"))
    assert [name for name, _ in refused] == ["certificates/a"] and "PRIVATE KEY" not in str(refused)
    assert call(front.tls_port, client(certificates))[2] == b"changed"


def test_https_redirect(front, feeder, certificates):
    issued = certificates.issue(HOST, f"DNS:{HOST}")
    feeder.tell(certificate("a", issued), group(domain(HOST, "a", https_redirect=True)), api(http=False))
    with socket.create_connection(("127.0.0.1", front.port)) as plain:
        for method in ("GET", "HEAD"):
            status, headers, _ = ask(plain, path="/x/%41?b=c%20d", method=method)
            assert (status, headers["location"]) == (301, f"https://{HOST}/x/%41?b=c%20d")
        answer = ask(plain, method="DELETE")
        assert answer[0] == 400 and error_code(answer) == "APIG.0607"
    assert call(front.tls_port, client(certificates))[0] == 200


def test_what_is_no_tls_is_told_so(front):
    with socket.create_connection(("127.0.0.1", front.tls_port)) as plain:
        assert ask(plain)[2] == b"A plain HTTP request was sent to an HTTPS port"
    with socket.create_connection(("127.0.0.1", front.tls_port)) as plain:
        plain.sendall(b"\x01\x02\x03garbage that no TLS begins with")
        while plain.recv(1000):
            pass
    until(lambda: front.metric('penstock_agent_tls_failures_total{reason="not_tls"}') >= 1, "the count")


def test_a_handshake_that_takes_too_long_ends(tmp_path, feeder, certificates, start):
    feeder.prepare(certificate("a", certificates.issue(HOST, f"DNS:{HOST}")), group(domain(HOST, "a")), api())
    front = start(Front(tmp_path, feeder, extra=["--head-timeout", "200ms"]))
    with socket.create_connection(("127.0.0.1", front.tls_port)) as silent:
        silent.sendall(b"\x16\x03\x01\x02\x00\x01")
        began = time.monotonic()
        assert is_closed(silent) and time.monotonic() - began < 5
    until(lambda: front.metric('penstock_agent_caller_timeouts_total{phase="handshake"}') == 1, "the count")


@pytest.mark.skipif(PATIENCE > 1, reason="what is agreed on is the same with sanitizers, only later")
def test_testssl_finds_nothing(front, certificates, tmp_path):
    found = tmp_path / "testssl.json"
    subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--protocols",
                    "--server-preference", "--renegotiation", "--crime", "--heartbleed", "--ccs-injection", "--ticketbleed",
                    "--robot", "--jsonfile", found, f"{HOST}:{front.tls_port}"],
                   capture_output=True, timeout=300, check=False)
    findings = json.loads(found.read_text())
    severe = [finding for finding in findings if finding["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")]
    assert len(findings) > 20 and severe == []


def test_a_proxy_header_comes_before_tls(tmp_path, feeder, certificates, start):
    agent = Front(tmp_path, feeder)
    agent.command[agent.command.index("--listen") + 1] += " proxy"
    feeder.prepare(certificate("a", certificates.issue(HOST, f"DNS:{HOST}")), group(domain(HOST, "a")), api())
    start(agent)
    with socket.create_connection(("127.0.0.1", agent.tls_port), 10) as raw:
        raw.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n")
        with client(certificates).wrap_socket(raw, server_hostname=HOST) as connection:
            assert ask(connection)[0] == 200
    line = json.loads(until(lambda: agent.access_log.read_text(), "a line of the access log"))
    assert (line["source"], line["scheme"]) == ("192.0.2.7", "https")
    with pytest.raises((ssl.SSLError, OSError)):
        connect(agent.tls_port, client(certificates))
    until(lambda: agent.metric("penstock_agent_proxy_headers_refused_total") == 1, "the count")


def test_all_of_it_from_the_management_api(controlplane, admin, echo, certificates, callers, tmp_path, start):
    front = start(Front(tmp_path, controlplane, "end-to-end"))
    gateway = Gateway(controlplane, front, echo)
    gateway.group("g", HOST)
    gateway.publish(gateway.api("g/a", match="PREFIX", protocol="HTTPS"))
    issued = certificates.issue(HOST, f"DNS:{HOST}")
    admin.CreateCertificate(certificate_id="shop", certificate={
        "certificate_pem": issued.cert.read_text(), "private_key_pem": issued.key.read_text(),
        "client_ca_pem": callers.ca.read_text()})
    controlplane.apply(
        {"kind": "Domain", "name": f"groups/g/domains/{HOST}", "certificates": ["certificates/shop"],
         "verifyClientCertificate": True, "httpsRedirect": True})
    gateway.settle()
    assert call(front.tls_port, client(certificates, mine=callers.issue("shop")))[0] == 200
    assert call(front.tls_port, client(certificates))[0] == 400
    assert ask(socket.create_connection(("127.0.0.1", front.port)))[0] == 301
    context = client(certificates, ssl.TLSVersion.TLSv1_2, callers.issue("shop"))
    assert is_resumed(front, context, resumable(front, context))


def test_http2_is_agreed_on(front, certificates):
    done = subprocess.run(["curl", "-s", "--http2", "--cacert", certificates.ca, "-w", " %{http_version}", "--resolve",
                           f"{HOST}:{front.tls_port}:127.0.0.1", f"https://{HOST}:{front.tls_port}/"],
                          capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "hello 2"
    context = client(certificates)
    context.set_alpn_protocols(["spdy/3"])
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        connect(front.tls_port, context)


def agreed(front, certificates):
    """What a caller who would take both comes to speak."""
    context = client(certificates)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connect(front.tls_port, context) as caller:
        return caller.selected_alpn_protocol()


def test_http2_is_offered_as_the_settings_say(front, feeder, certificates):
    shop = certificate("a", certificates.issue(HOST, f"DNS:{HOST}"))
    assert agreed(front, certificates) == "h2"
    feeder.tell(shop, group(domain(HOST, "a")), api(), {"settings": {"name": "settings", "http2": {"enabled": False}}})
    assert agreed(front, certificates) == "http/1.1"
    feeder.tell(shop, group(domain(HOST, "a")), api())
    assert agreed(front, certificates) == "h2"
