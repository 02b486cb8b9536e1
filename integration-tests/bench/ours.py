"""The agent as a contender: one worker, configured through the management API."""
import grpc

from bulk import add_routes
from lib.admin import Admin
from lib.gateway import Gateway
from lib.process import free_port
from lib.servers import Agent, ControlPlane
from peers import HOST, KEY


class Ours:
    title = "penstock"

    def __init__(self, folder, backend, work, certificate, stubs):
        self.home = folder / f"penstock-{work.name}"
        self.home.mkdir()
        self.controlplane = ControlPlane(self.home, extra=("--group-apis-max", "0")).start()
        log = () if work.log else ("--access-log", "off")
        self.agent = Agent(self.home, self.controlplane, extra=("--workers", "1", "--connections-max", "20000",
                                                                "--idle-timeout", "300s", *log))
        self.port = self.agent.port
        if work.tls:
            self.port = free_port()
            self.agent.command[self.agent.command.index("--listen") + 1] += f", 127.0.0.1:{self.port} tls"
        self.agent.start()
        self.configure(Gateway(self.controlplane, self.agent, backend), work, certificate, stubs)

    @property
    def pid(self):
        return self.agent.pid

    def configure(self, gateway, work, certificate, stubs):
        gateway.group("bench", HOST)
        if work.tls:
            self.add_certificate(certificate, stubs)
        auth = {"type": "AUTH_TYPE_APP", "appCode": True, "appCodeOverHttp": True} if work.full else None
        gateway.api("bench/a", "/", match="EXACT" if work.path == "/" else "PREFIX", auth=auth, protocol="BOTH")
        if work.full:
            self.protect(gateway)
        if work.routes:
            add_routes(self.controlplane, stubs, "bench", work.routes)
        gateway.publish("bench/a")
        gateway.settle()

    def add_certificate(self, certificate, stubs):
        admin = Admin(stubs, grpc.insecure_channel(self.controlplane.address))
        admin.CreateCertificate(certificate_id="bench", certificate={
            "certificate_pem": certificate.cert.read_text(), "private_key_pem": certificate.key.read_text()})
        admin.close()
        self.controlplane.apply({"kind": "Domain", "name": f"groups/bench/domains/{HOST}",
                                 "certificates": ["certificates/bench"]})

    def protect(self, gateway):
        self.controlplane.apply({"kind": "App", "name": "apps/shop"},
                                {"kind": "AppCode", "name": "apps/shop/codes/c", "code": KEY},
                                {"kind": "Authorization", "name": "apps/shop/authorizations/a", "api": "groups/bench/apis/a"})
        gateway.bind("limit", "bench/a", throttle={"apiLimit": "1000000000", "appLimit": "1000000000", "ipLimit": "1000000000"})
        gateway.bind("addresses", "bench/a", ipAccess={"effect": "ACCESS_EFFECT_PERMIT", "addresses": ["127.0.0.0/8"]})
        gateway.bind("headers", "bench/a", responseHeaders={"headers": [
            {"name": "X-Frame-Options", "value": "DENY", "action": "HEADER_ACTION_TYPE_OVERRIDE"}]})

    def stop(self):
        self.agent.stop()
        self.controlplane.stop()
