"""Who may call the management API: TLS, client certificates, tokens, roles; files edited and broken while it runs."""
import hashlib
import json
import socket
import ssl
import subprocess

import grpc
import pytest

from lib.admin import Admin
from lib.certificates import Authority
from lib.process import BIN, free_port
from lib.servers import Agent, ControlPlane
from lib.wait import until

ROLES = ("viewer", "operator", "administrator")
TOKENS = {role: f"the token of the {role}" for role in ROLES}


def credentials(roles=ROLES, certificate_role="operator", **more):
    return json.dumps({
        "tokens": [{"sha256": hashlib.sha256(TOKENS[role].encode()).hexdigest(), "principal": f"a {role}", "role": role}
                   for role in roles],
        "certificates": [{"name": "alice", "principal": "Alice", "role": certificate_role}],
        "agents": [{"name": "agent-1"}], **more})


class Guarded:
    """A control plane with TLS and a credentials file, and ways to call it."""

    def __init__(self, start, folder, stubs, authority):
        self.authority, self.stubs, self.opened = authority, stubs, []
        self.server, self.file = authority.issue("server"), folder / "credentials.json"
        self.client_ca = folder / "clients.pem"
        self.client_ca.write_bytes(authority.ca.read_bytes())
        self.file.write_text(credentials())
        self.controlplane = start(ControlPlane(folder, extra=(
            "--credentials-file", self.file, "--tls-cert-file", self.server.cert, "--tls-key-file", self.server.key,
            "--tls-client-ca-file", self.client_ca, "--log-level", "debug")))

    def admin(self, token=None, cert=None, ca=None):
        pair = (cert.key.read_bytes(), cert.cert.read_bytes()) if cert else (None, None)
        secure = grpc.ssl_channel_credentials((ca or self.authority.ca).read_bytes(), *pair)
        if token:
            secure = grpc.composite_channel_credentials(secure, grpc.access_token_call_credentials(token))
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.opened.append(Admin(self.stubs, grpc.secure_channel(self.controlplane.address, secure, options)))
        return self.opened[-1]


@pytest.fixture
def guarded(start, tmp_path, stubs, certificates):
    made = Guarded(start, tmp_path, stubs, certificates)
    yield made
    for admin in made.opened:
        admin.close()
    log = made.controlplane.log.read_text()
    assert not any(token in log for token in TOKENS.values())


def test_strangers_are_refused(guarded, tmp_path):
    for admin in (guarded.admin(), guarded.admin(token="made up"), guarded.admin(cert=guarded.authority.issue("bob", "DNS:bob")),
                  guarded.admin(cert=guarded.authority.issue("agent-1", "DNS:agent-1"))):
        assert admin.refused("ListApps").code == "UNAUTHENTICATED"
        assert admin.refused("DebugApi").code == "UNAUTHENTICATED"
    other = Authority(tmp_path, "other")
    assert guarded.admin(cert=other.issue("alice", "DNS:alice")).refused("ListApps").code == "UNAVAILABLE"
    assert guarded.admin(TOKENS["viewer"], ca=other.ca).refused("ListApps").code == "UNAVAILABLE"
    plain = Admin(guarded.stubs, grpc.insecure_channel(guarded.controlplane.address))
    assert plain.refused("ListApps").code == "UNAVAILABLE"
    plain.close()


def test_every_method_asks_for_its_role(guarded):
    """Viewers read, operators write, administrators also certificates and audit events; a name that is not there tells."""
    admins = {role: guarded.admin(TOKENS[role]) for role in ROLES}
    for service, methods in guarded.stubs.services.items():
        for method in methods:
            for role, admin in admins.items():
                try:
                    getattr(admin, method)()
                    code = "OK"
                except grpc.RpcError as error:
                    code = error.code().name
                for_administrators = (".CertificateService", ".AccountService", ".SettingsService", ".EnrolmentService")
                writers = ("administrator",) if service.endswith(for_administrators) else ("operator", "administrator")
                reads = method.startswith(("Get", "List", "Diff", "Export", "WhoAmI"))
                may = role == "administrator" if service.endswith(".AuditEventService") else reads or role in writers
                if code != "UNIMPLEMENTED" and method not in ("Apply", "Export"):  # those ask for each resource's own
                    assert (code == "PERMISSION_DENIED") != may, (service, method, role, code)
    assert admins["viewer"].refused("CreateApp", app_id="a").message == \
        "CreateApp needs the role operator, and a viewer is viewer"


def test_a_client_certificate_is_a_principal(guarded):
    alice = guarded.admin(cert=guarded.authority.issue("alice", "DNS:alice"))
    alice.CreateApp(app_id="one")
    assert '"principal":"Alice"' in guarded.controlplane.log.read_text()
    guarded.file.write_text(credentials(certificate_role="viewer"))
    assert alice.refused("CreateApp", app_id="two").code == "PERMISSION_DENIED"
    assert alice.GetApp(name="apps/one")


def test_the_credentials_file_is_read_again_and_kept_when_broken(guarded):
    viewer, operator = guarded.admin(TOKENS["viewer"]), guarded.admin(TOKENS["operator"])
    viewer.ListApps()
    guarded.file.write_text(credentials(roles=("operator",)))
    assert viewer.refused("ListApps").code == "UNAUTHENTICATED"  # on the connection that it has
    for broken in ("{", "[]", credentials(typing_error=[]), credentials(roles=ROLES * 2), ""):
        guarded.file.write_text(broken)
        assert viewer.refused("ListApps").code == "UNAUTHENTICATED"
        operator.ListApps()
    guarded.file.unlink()
    operator.ListApps()
    guarded.file.write_text(credentials())
    viewer.ListApps()


def test_certificates_change_while_it_runs(guarded, tmp_path):
    old = guarded.admin(TOKENS["viewer"])
    old.ListApps()
    other = Authority(tmp_path, "other")
    other.issue("server", cert=guarded.server)

    def is_served():
        context = ssl.create_default_context(cafile=other.ca)
        context.set_alpn_protocols(["h2"])
        with socket.create_connection(("127.0.0.1", guarded.controlplane.port), 5) as plain:
            with context.wrap_socket(plain, server_hostname="localhost"):
                return True
    until(is_served, "the new certificate")
    old.ListApps()  # its connection goes on
    guarded.admin(TOKENS["viewer"], ca=other.ca).ListApps()
    guarded.client_ca.write_bytes(other.ca.read_bytes())
    alice = other.issue("alice", "DNS:alice")

    def comes_in():
        try:
            return guarded.admin(cert=alice, ca=other.ca).ListApps() is not None
        except grpc.RpcError:
            return False
    until(comes_in, "the new authority of clients")


def test_penstockctl_with_tls(guarded, tmp_path):
    token = tmp_path / "token"
    token.write_text(TOKENS["operator"] + "\n")
    alice = guarded.authority.issue("alice", "DNS:alice")
    secure = ("--ca", guarded.authority.ca)
    for who in (("--token-file", token), ("--cert", alice.cert, "--key", alice.key)):
        assert guarded.controlplane.ctl(*secure, *who, "get", "apps").returncode == 0
    for status, flags in ((6, secure), (5, ()), (2, (*secure, "--token-file", tmp_path / "nowhere"))):
        done = guarded.controlplane.ctl(*flags, "get", "apps", check=False)
        assert done.returncode == status and done.stdout == "" and "Error: " in done.stderr, done


def test_agents_need_their_own_certificate(guarded, start, tmp_path):
    good = guarded.authority.issue("agent-1", "DNS:agent-1")
    flags = ("--controlplane-ca-file", guarded.authority.ca)
    agent = start(Agent(tmp_path, guarded.controlplane, "agent-1", extra=(
        *flags, "--controlplane-cert-file", good.cert, "--controlplane-key-file", good.key)))
    assert [a.name for a in guarded.admin(TOKENS["viewer"]).ListAgents().agents if a.connected] == ["agents/agent-1"]
    assert agent.stop() == 0


@pytest.mark.parametrize("listen", ["0.0.0.0:{}", ":{}", "[::]:{}", "127.example.com:{}"])
def test_without_credentials_only_loopback(listen, tmp_path):
    done = subprocess.run([BIN / "penstock-controlplane", "--listen", listen.format(free_port()), "--store",
                           f"sqlite:{tmp_path}/db"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "--credentials-file" in done.stderr and "loopback" in done.stderr
    assert not (tmp_path / "db").exists()
