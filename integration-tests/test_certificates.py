"""Certificates, the domains and backends that use them, and ticket keys: what is stored, and what agents are sent."""
import json
import pathlib
import ssl
import subprocess
import urllib.error

import pytest

from lib.process import http_text
from lib.servers import ControlPlane
from lib.told import Told
from lib.wait import until
from test_tls import Front, ask, client, connect

HOST = "groups/shop/domains/shop.example.com"


@pytest.fixture
def told(stubs):
    """told(controlplane): an agent that only listens."""
    started = []

    def begin(controlplane, name="listener"):
        started.append(Told(stubs, controlplane, name))
        return started[-1]
    yield begin
    for listener in started:
        listener.stop()


@pytest.fixture
def issued(certificates):
    return certificates.issue("shop", "DNS:shop.example.com")


def pem(path):
    return pathlib.Path(path).read_text(encoding="ascii")


def certificate(issued, name="shop", **more):
    return {"kind": "Certificate", "name": f"certificates/{name}", "certificatePem": pem(issued.cert),
            "privateKeyPem": pem(issued.key), **more}


def shop(**tls):
    return {"kind": "ApiGroup", "name": "groups/shop"}, {"kind": "Domain", "name": HOST, **tls}


def body_of(private_key_pem):
    """The lines between BEGIN and END: what may be nowhere."""
    return [line for line in private_key_pem.splitlines() if not line.startswith("-----")]


def has_key(listener, name, issued):
    """The agents have the certificate, and a key that fits it."""
    sent = listener.get(name)
    if not sent or sent.certificate_pem != pem(issued.cert):
        return False
    public = subprocess.run(["openssl", "pkey", "-pubout"], input=sent.private_key_pem, capture_output=True, text=True,
                            check=True).stdout
    return public == subprocess.run(["openssl", "pkey", "-in", issued.key, "-pubout"], capture_output=True, text=True,
                                    check=True).stdout


# ---- penstockctl


def test_files_of_certificates_are_read_where_the_document_is(controlplane, issued, tmp_path):
    folder = tmp_path / "conf"
    folder.mkdir()
    issued.cert.rename(folder / "shop.crt")
    issued.key.rename(folder / "shop.key")
    document = folder / "shop.yaml"
    document.write_text("kind: Certificate\nname: certificates/shop\n"
                        "certificatePem: {file: shop.crt}\nprivateKeyPem: {file: shop.key}\n")
    assert controlplane.ctl("apply", "-f", document).stdout == "certificates/shop created\n"
    assert controlplane.ctl("apply", "-f", document).stdout == "certificates/shop unchanged\n"
    shown = controlplane.get("certificate", "shop")
    assert shown["keyAlgorithm"] == "KEY_ALGORITHM_ECDSA" and shown["subjectAlternativeNames"] == ["shop.example.com"]
    assert "shop.example.com" in controlplane.ctl("get", "certificates").stdout
    (folder / "shop.key").unlink()
    missing = controlplane.ctl("apply", "-f", document, check=False)
    assert missing.returncode == 1 and "shop.key: No such file" in missing.stderr


def test_what_is_shown_can_be_applied_again(controlplane, issued):
    controlplane.apply(certificate(issued), *shop(certificates=["certificates/shop"]))
    for kind, name in (("certificate", "shop"), ("domain", "shop/shop.example.com")):
        text = controlplane.ctl("get", kind, name, "-o", "yaml").stdout
        assert "rivateKey" not in text
        assert controlplane.ctl("apply", "-f", "-", stdin=text).stdout.endswith(" unchanged\n")


# ---- agents


def test_agents_have_a_certificate_as_long_as_it_is_used(controlplane, told, issued):
    agent = told(controlplane)
    controlplane.apply(certificate(issued), *shop())
    until(lambda: agent.get("groups/shop"), "the group")
    assert not agent.get("certificates/shop")
    controlplane.apply(*shop(certificates=["certificates/shop"], httpsRedirect=True))
    until(lambda: has_key(agent, "certificates/shop", issued), "the certificate")
    tls = agent.get("groups/shop").tls[0]
    assert (tls.host, list(tls.certificates), tls.min_version, tls.https_redirect) == (
        "shop.example.com", ["certificates/shop"], 2, True)
    refused = controlplane.ctl("delete", "certificate", "shop", check=False)
    assert refused.returncode == 4 and HOST in refused.stderr
    controlplane.apply(*shop(certificates=[], httpsRedirect=False))
    until(lambda: not agent.get("certificates/shop"), "the certificate to go")
    controlplane.ctl("delete", "certificate", "shop")


def test_a_renewed_certificate_is_one_small_change(controlplane, told, certificates, issued):
    controlplane.apply(certificate(issued), *shop(certificates=["certificates/shop"]))
    agent = told(controlplane)
    until(lambda: has_key(agent, "certificates/shop", issued), "the certificate")
    renewed = certificates.issue("shop", "DNS:shop.example.com")
    controlplane.apply(certificate(renewed))
    until(lambda: has_key(agent, "certificates/shop", renewed), "the new one")
    assert ["certificates/shop"] in agent.changes and not any("groups/shop" in names for names in agent.changes)


def test_backends_get_the_gateways_certificate(controlplane, told, certificates, issued):
    agent = told(controlplane)
    controlplane.apply(
        certificate(issued, "client"),
        {"kind": "Certificate", "name": "certificates/authorities", "clientCaPem": pem(certificates.ca)}, *shop(),
        {"kind": "Api", "name": "groups/shop/apis/mutual", "frontend": {"method": "HTTP_METHOD_GET", "path": "/"},
         "backend": {"http": {"address": "127.0.0.1:1", "scheme": "BACKEND_SCHEME_HTTPS", "certificate": "certificates/client",
                              "protocol": "BACKEND_PROTOCOL_HTTP2"}}},
        {"kind": "Api", "name": "groups/shop/apis/grpc", "frontend": {"protocol": "PROTOCOL_GRPCS", "path": "/shop.Orders"},
         "backend": {"grpc": {"address": "127.0.0.1:2", "scheme": "BACKEND_SCHEME_HTTPS",
                              "certificate": "certificates/authorities"}}})
    controlplane.ctl("publish", "shop/mutual")
    controlplane.ctl("publish", "shop/grpc")
    until(lambda: agent.get("groups/shop/apis/grpc@RELEASE"), "both routes")
    assert has_key(agent, "certificates/client", issued)
    assert agent.get("certificates/authorities").ca_pem == pem(certificates.ca)
    mutual, grpc = (agent.get(f"groups/shop/apis/{api}@RELEASE") for api in ("mutual", "grpc"))
    assert mutual.backend.http.certificate == "certificates/client" and mutual.backend.http.http2 and not mutual.grpc
    assert (grpc.grpc, grpc.https, grpc.http, grpc.method, grpc.prefix) == (True, True, False, "POST", True)
    assert grpc.backend.http.http2 and grpc.backend.http.tls and not grpc.backend.http.path


# ---- secrets


@pytest.fixture
def keys(tmp_path):
    """keys(words): a file for --seal-key-file with a key for each word, the same for the same word."""
    made = {}

    def write(*words):
        for word in words:
            made[word] = made.get(word) or subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, text=True,
                                                          check=True).stdout.strip()
        path = tmp_path / f"{'-'.join(words)}.keys"
        path.write_text("".join(f"{made[word]}  # {word}\n" for word in words))
        return path
    return write


@pytest.mark.parametrize("store", ["sqlite", "etcd"])
def test_no_store_and_no_log_has_a_private_key(store, request, start, told, issued, keys, tmp_path):
    etcd = request.getfixturevalue("etcd") if store == "etcd" else None
    controlplane = start(ControlPlane(tmp_path, etcd and etcd.store,
                                      extra=("--log-level", "debug", *(("--seal-key-file", keys("one")) if etcd else ()))))
    agent = told(controlplane)
    controlplane.apply(certificate(issued), *shop(certificates=["certificates/shop"]))
    controlplane.ctl("apply", "-f", "-", stdin=json.dumps([certificate(issued, privateKeyPem=pem(issued.key)[:-40])]), check=False)
    until(lambda: has_key(agent, "certificates/shop", issued) and agent.get("ticketKeys"), "certificate and ticket keys")
    secrets = [line.encode() for line in body_of(pem(issued.key))]
    secrets += [secret for key in agent.get("ticketKeys").keys for secret in (key.aes_key, key.hmac_key)]
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != issued.key}
    assert any(b"shop.example.com" in content for content in files.values())
    assert not [path for path, content in files.items() for secret in secrets if secret in content]
    made = tmp_path / "controlplane.db.seal-key"
    assert made.exists() == (store == "sqlite") and (not made.exists() or made.stat().st_mode & 0o777 == 0o600)


def test_etcd_without_keys_takes_no_secrets_and_says_what_to_do(start, etcd, issued, certificates, tmp_path):
    controlplane = start(ControlPlane(tmp_path, etcd.store))
    refused = controlplane.ctl("apply", "-f", "-", stdin=json.dumps([certificate(issued)]), check=False)
    assert refused.returncode == 4 and "start it with --seal-key-file" in refused.stderr
    controlplane.apply({"kind": "Certificate", "name": "certificates/authorities", "clientCaPem": pem(certificates.ca)})


def unready(plane):
    """What /readyz says while it is 503."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        http_text(f"{plane.ops}/readyz")
    assert refused.value.code == 503
    return refused.value.read().decode()


def test_a_wrong_key_takes_no_certificate_from_agents(start, told, certificates, issued, keys, tmp_path):
    plane = start(ControlPlane(tmp_path, extra=("--seal-key-file", keys("right"))))
    front = start(Front(tmp_path, plane))
    plane.apply(certificate(issued), *shop(certificates=["certificates/shop"]))

    def serves():
        try:
            with connect(front.tls_port, client(certificates), "shop.example.com"):
                return True
        except ssl.SSLError:
            return False
    until(serves, "TLS")
    plane.stop()
    plane.command[plane.command.index("--seal-key-file") + 1] = str(keys("wrong"))
    plane.launch().wait_http(f"{plane.ops}/livez")
    said = until(lambda: "withheld" in unready(plane) and unready(plane), "it to say why")
    assert "certificates/shop: the private key cannot be opened" in said and "wrong.keys" in said
    assert "apply these certificates again" in plane.tail()
    assert "\npenstock_controlplane_image_withheld 1\n" in http_text(f"{plane.ops}/metrics")
    until(lambda: "this control plane cannot open certificates in use" in front.tail(), "the agent to be turned away", 40)
    plane.apply({"kind": "ApiGroup", "name": "groups/other"})  # what else changes does not go out either
    assert plane.get("certificate", "shop")["commonName"] == "shop" and serves()
    front.stop()
    front.start()  # from its disk
    until(serves, "TLS as before")
    plane.apply(certificate(issued))
    plane.wait_http(f"{plane.ops}/readyz")
    listener = told(plane)
    until(lambda: has_key(listener, "certificates/shop", issued) and listener.get("groups/other"), "all of it")
    until(lambda: front.metric("penstock_agent_controlplane_connected") == 1, "the agent to come back", 40)
    assert serves()


def test_agents_go_to_the_replica_that_has_the_keys(start, etcd, certificates, issued, keys, tmp_path):
    right = start(ControlPlane(tmp_path, etcd.store, name="right", extra=("--seal-key-file", keys("one"))))
    right.apply(certificate(issued), *shop(certificates=["certificates/shop"]))
    without = ControlPlane(tmp_path, etcd.store, name="without")
    without.launch().wait_http(f"{without.ops}/livez")
    until(lambda: "withheld" in unready(without), "it to see that it has no key")
    assert "needs --seal-key-file" in unready(without)
    front = Front(tmp_path, right)
    front.command[front.command.index("--controlplane") + 1] = f"{without.address},{right.address}"
    start(front)
    with connect(front.tls_port, client(certificates), "shop.example.com"):
        pass
    assert without.stop() == 0


def test_keys_for_secrets_rotate(start, told, issued, keys, tmp_path):
    for number, words in enumerate((("old",), ("old", "new"), ("new", "old"), ("new",))):
        controlplane = start(ControlPlane(tmp_path, extra=("--seal-key-file", keys(*words))))
        if number == 0:
            controlplane.apply(certificate(issued), *shop(certificates=["certificates/shop"]))
        agent = told(controlplane)
        until(lambda: has_key(agent, "certificates/shop", issued), f"the certificate with {words}")
        if words == ("new", "old"):
            until(lambda: "sealed again" in controlplane.tail(50), "the secrets to be sealed again")
        controlplane.stop()


# ---- ticket keys


def test_two_control_planes_turn_one_set_of_ticket_keys(start, etcd, told, keys, tmp_path):
    extra = ("--seal-key-file", keys("one"), "--ticket-key-rotation", "1s")
    planes = [start(ControlPlane(tmp_path, etcd.store, name=name, extra=extra)) for name in ("one", "two")]
    agents = [told(plane, f"of-{number}") for number, plane in enumerate(planes)]

    def names(agent):
        return [key.name for key in agent.get("ticketKeys").keys] if agent.get("ticketKeys") else []
    until(lambda: all(len(names(agent)) >= 2 for agent in agents), "keys")
    sealing, following = until(lambda: names(agents[0]) == names(agents[1]) and names(agents[0])[:2], "the same keys")
    for agent in agents:
        until(lambda: following in names(agent) and names(agent)[0] != sealing, "another one to seal")
        assert sealing in names(agent)
    planes[0].stop()
    before = names(agents[1])[0]
    until(lambda: names(agents[1])[0] != before, "the one that is left to turn them")


def test_keys_outlive_a_restart(start, told, stubs, controlplane):
    first = told(controlplane)
    until(lambda: first.get("ticketKeys"), "keys")
    controlplane.stop()
    controlplane.start()
    second = told(controlplane)
    until(lambda: second.get("ticketKeys"), "keys again")
    assert second.get("ticketKeys") == first.get("ticketKeys")


# ---- from end to end


def test_callers_resume_at_another_agent_and_meet_the_new_certificate(controlplane, start, certificates, issued, tmp_path):
    one, two = (start(Front(tmp_path, controlplane, name)) for name in ("one", "two"))
    controlplane.apply(certificate(issued), *shop(certificates=["certificates/shop"]),
                       {"kind": "Api", "name": "groups/shop/apis/read", "backend": {"mock": {}},
                        "frontend": {"method": "HTTP_METHOD_GET", "path": "/", "protocol": "PROTOCOL_HTTPS"}})
    assert "2 of 2 agents applied" in controlplane.ctl("publish", "shop/read", "--wait").stdout
    context = client(certificates)

    def meet(agent, session=None):
        with connect(agent.tls_port, context, "shop.example.com", session) as connection:
            assert ask(connection, "shop.example.com")[0] == 200
            return connection.session, connection.session_reused, connection.getpeercert(binary_form=True)
    session, _, old = meet(one)
    assert until(lambda: meet(two, session)[1], "the session to be resumed")
    controlplane.apply(certificate(certificates.issue("shop", "DNS:shop.example.com")))
    until(lambda: old not in (meet(one)[2], meet(two)[2]), "the new certificate at both agents")
