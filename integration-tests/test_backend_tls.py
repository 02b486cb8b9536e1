"""Backends over TLS: always verified."""
import subprocess

import pytest

from lib.gateway import Gateway
from lib.servers import Agent, Nginx


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture
def authority(tmp_path):
    """certificate(name, san): a certificate and its key, signed by ca.pem of the same folder."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=test authority", "-keyout", tmp_path / "ca.key", "-out", tmp_path / "ca.pem")

    def certificate(name, san):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.csr")
        (tmp_path / f"{name}.ext").write_text(f"subjectAltName={san}\n")
        openssl("x509", "-req", "-days", "2", "-in", tmp_path / f"{name}.csr", "-CA", tmp_path / "ca.pem",
                "-CAkey", tmp_path / "ca.key", "-CAcreateserial", "-extfile", tmp_path / f"{name}.ext",
                "-out", tmp_path / f"{name}.pem")
        return tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
    return certificate


@pytest.fixture
def backend(authority, start, tmp_path):
    """nginx that speaks TLS only, with a certificate for 127.0.0.1."""
    pem, key = authority("backend", "IP:127.0.0.1")
    nginx = Nginx(tmp_path, server=f"ssl_protocols TLSv1.3; ssl_certificate {pem}; ssl_certificate_key {key}; "
                                   "location / { return 200 \"$ssl_protocol $request_uri\\n\"; }")
    conf = tmp_path / "nginx/nginx.conf"
    conf.write_text(conf.read_text().replace(f"listen {nginx.address};", f"listen {nginx.address} ssl;"))
    return start(nginx)


@pytest.fixture
def gateway_with(start, controlplane, echo, tmp_path):
    def begin(*flags):
        agent = start(Agent(tmp_path, controlplane, extra=flags))
        made = Gateway(controlplane, agent, echo)
        made.group("g")
        return made
    return begin


def https(backend):
    return {"http": {"address": backend.address, "scheme": "BACKEND_SCHEME_HTTPS"}}


def test_a_verified_backend_is_called(gateway_with, backend, tmp_path):
    gateway = gateway_with("--upstream-ca-file", tmp_path / "ca.pem")
    gateway.publish(gateway.api("g/a", backend=https(backend)))
    for _ in range(3):
        answer = gateway.call()
        assert (answer.status, answer.body) == (200, b"TLSv1.3 /\n")


def test_a_backend_of_an_unknown_authority_is_not(gateway_with, backend):
    gateway = gateway_with()
    gateway.publish(gateway.api("g/a", backend=https(backend)))
    answer = gateway.call()
    assert (answer.status, answer.code) == (502, "APIG.0202")


def test_the_certificate_must_name_the_host(gateway_with, backend, tmp_path):
    gateway = gateway_with("--upstream-ca-file", tmp_path / "ca.pem")
    target = https(backend)
    target["http"]["hostHeader"] = "other.example.com"
    gateway.publish(gateway.api("g/a", backend=target))
    assert gateway.call().status == 502
