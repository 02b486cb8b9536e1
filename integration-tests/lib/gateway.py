"""A control plane, an agent and a backend, and the words that scenarios use of them."""
from . import http1


class Gateway:
    def __init__(self, controlplane, agent, backend):
        self.controlplane, self.agent, self.backend = controlplane, agent, backend
        self.host = None  # of the last group that was made
        self.marks = 0

    def group(self, name, host=None):
        self.host = host or f"{name}.example.com"
        self.controlplane.apply({"kind": "ApiGroup", "name": f"groups/{name}"},
                                {"kind": "Domain", "name": f"groups/{name}/domains/{self.host}"})
        return f"groups/{name}"

    def api(self, name, path="/", method="GET", backend=None, match="EXACT", auth=None, protocol="HTTP", **more):
        """Creates or changes "group/api"; the backend is the recording one unless said."""
        group, api = name.split("/")
        self.controlplane.apply({
            "kind": "Api", "name": f"groups/{group}/apis/{api}",
            "frontend": {"protocol": f"PROTOCOL_{protocol}", "method": f"HTTP_METHOD_{method}", "path": path,
                         "matchMode": f"MATCH_MODE_{match}"},
            "backend": backend or {"http": {"address": self.backend.address}},
            "authentication": auth or {"type": "AUTH_TYPE_NONE"}, **more})
        return name

    def publish(self, name, environment="RELEASE"):
        """And waits until the agents serve it."""
        self.controlplane.publish(name, environment)

    def bind(self, policy, api, environment="RELEASE", **content):
        """Creates the policy and binds it; live without a publish."""
        group, name = api.split("/")
        self.controlplane.apply(
            {"kind": "Policy", "name": f"policies/{policy}", **content},
            {"kind": "PolicyBinding", "name": f"policies/{policy}/bindings/{group}.{name}.{environment}",
             "api": f"groups/{group}/apis/{name}", "environment": f"environments/{environment}"})
        self.settle()

    def settle(self):
        """Until every connected agent serves what has been written so far."""
        self.marks += 1
        self.controlplane.settle(f"mark {self.marks}")

    def call(self, path="/", host=None, **options):
        return http1.request(self.agent.port, path, host or self.host, **options)
