"""The cluster that is tormented: three etcd, two control planes, five agents, each on a machine of its own."""
import json
import urllib.request
import pathlib

from lib.certificates import Authority
from lib.process import BIN, Process
from lib.servers import Nginx
from lib.upgrade import Successive

ETCD_COUNT, CONTROLPLANE_COUNT, AGENT_COUNT = 3, 2, 5
BACKEND_PORTS = (7001, 7002)  # of every agent's machine: the address is the same for all of them
PORT, OPS_PORT = 8080, 9100


class Program(Process):
    """Of a machine; in its network, in a folder of its own. `is_wanted`: it runs, or it has died by itself."""

    def __init__(self, machine, folder, words):
        own = pathlib.Path(folder) / machine.name
        own.mkdir()
        super().__init__(machine.name, [*machine.enter, *words], own)
        self.machine, self.is_wanted = machine, False

    def launch(self):
        self.is_wanted = True
        return super().launch()

    def kill(self):
        self.is_wanted = False
        super().kill()

    def stop(self, seconds=30):
        self.is_wanted = False
        return super().stop(seconds)

    def has_died(self):
        return self.is_wanted and not self.is_running()


class AgentProgram(Successive, Program):
    """Its successor, after an upgrade, is the same program to everybody here."""

    def __init__(self, machine, folder, words):
        pid_file = pathlib.Path(folder) / machine.name / "agent.pid"
        super().__init__(machine, folder, [*words, "--pid-file", pid_file])
        self.follow(pid_file)
        self.listen = "127.0.0.1" if machine.enter else machine.address

    def launch(self):
        self.pid_file.unlink(missing_ok=True)
        return super().launch()

    def kill(self):
        self.is_wanted = False
        super().kill()

    def stop(self, seconds=30):
        self.is_wanted = False
        return super().stop(seconds)


def etcd_program(machine, machines, folder):
    peers = ",".join(f"{each.name}=http://{each.address}:2380" for each in machines)
    return Program(machine, folder, [
        "/usr/bin/etcd", "--name", machine.name, "--data-dir", f"{folder}/{machine.name}/data",
        "--listen-client-urls", f"http://{machine.address}:2379", "--advertise-client-urls", f"http://{machine.address}:2379",
        "--listen-peer-urls", f"http://{machine.address}:2380", "--initial-advertise-peer-urls", f"http://{machine.address}:2380",
        "--initial-cluster", peers, "--initial-cluster-state", "new", "--log-level", "warn", "--unsafe-no-fsync",
        "--heartbeat-interval", "100", "--election-timeout", "1000", "--experimental-watch-progress-notify-interval=1s"])


class Cluster:
    """All programs by the name of their machine; `address` of a control plane is host:port."""

    def __init__(self, network, folder):
        self.network, self.folder = network, folder
        self.authority = Authority(folder)
        self.etcd_machines = [network.machine(f"etcd{number}") for number in range(1, ETCD_COUNT + 1)]
        self.controlplane_machines = [network.machine(f"plane{number}") for number in range(1, CONTROLPLANE_COUNT + 1)]
        self.agent_machines = [network.machine(f"agent{number}") for number in range(1, AGENT_COUNT + 1)]
        self.admin_certificate = self.authority.issue("operator", "DNS:operator")
        (folder / "credentials.json").write_text(json.dumps({
            "certificates": [{"name": "operator", "principal": "operator", "role": "administrator"}],
            "agents": [{"name": machine.name} for machine in self.agent_machines]}))
        self.programs = {}
        for program in (*(etcd_program(machine, self.etcd_machines, folder) for machine in self.etcd_machines),
                        *map(self.controlplane_program, self.controlplane_machines),
                        *map(self.agent_program, range(AGENT_COUNT), self.agent_machines)):
            self.programs[program.name] = program
        self.backends = [self.backend(machine) for machine in (self.agent_machines if network.can_cut else self.agent_machines[:1])]

    def controlplane_program(self, machine):
        server = self.authority.issue(machine.name, f"IP:{machine.address}")
        store = ",".join(f"http://{each.address}:2379" for each in self.etcd_machines)
        return Program(machine, self.folder, [
            BIN / "penstock-controlplane", "--listen", f"{machine.address}:9440", "--ops-listen", f"{machine.address}:9441",
            "--http-listen", "", "--store", f"etcd:{store}", "--etcd-progress-interval", "1s", "--etcd-timeout", "1s",
            "--credentials-file", self.folder / "credentials.json", "--tls-cert-file", server.cert, "--tls-key-file", server.key,
            "--tls-client-ca-file", self.authority.ca])

    def agent_program(self, number, machine):
        own = self.authority.issue(machine.name, f"DNS:{machine.name}")
        planes = [f"{each.address}:9440" for each in self.controlplane_machines]
        listen = "127.0.0.1" if machine.enter else machine.address
        return AgentProgram(machine, self.folder, [
            BIN / "penstock-agent", "--listen", f"{listen}:{PORT}", "--ops-listen", f"{listen}:{OPS_PORT}",
            "--controlplane", ",".join(planes if number % 2 == 0 else reversed(planes)), "--agent-id", machine.name,
            "--cache-dir", self.folder / machine.name / "cache", "--access-log", "off", "--workers", "1", "--drain-grace", "0ms",
            "--controlplane-ca-file", self.authority.ca, "--controlplane-cert-file", own.cert, "--controlplane-key-file", own.key])

    def backend(self, machine):
        """Two places that say which one they are."""
        server = f"location / {{ return 200 \"{BACKEND_PORTS[0]}\"; }} }} server {{ listen 127.0.0.1:{BACKEND_PORTS[1]}; " \
                 f"location / {{ return 200 \"{BACKEND_PORTS[1]}\"; }}"
        backend = Nginx(self.folder, f"nginx-{machine.name}", server)
        conf = self.folder / backend.name / "nginx.conf"
        conf.write_text(conf.read_text().replace(backend.address, f"127.0.0.1:{BACKEND_PORTS[0]}"))
        backend.command = [*machine.enter, *backend.command]
        return backend

    @property
    def etcds(self):
        return [self.programs[machine.name] for machine in self.etcd_machines]

    @property
    def controlplanes(self):
        return [self.programs[machine.name] for machine in self.controlplane_machines]

    @property
    def agents(self):
        return [self.programs[machine.name] for machine in self.agent_machines]

    def start(self):
        for backend in self.backends:
            backend.launch()
        for program in self.etcds:
            program.launch()
        for program in self.controlplanes:
            program.launch()
            program.wait_http(f"http://{program.machine.address}:9441/readyz", seconds=60)
        for program in self.agents:
            program.launch()

    def leader(self):
        """The etcd that leads, as one of the others says; None: there is none, or it cannot be asked."""
        for program in self.etcds:
            if program.is_running():
                found = leader_of(program.machine.address)
                if found:
                    return next((each for each in self.etcds if each.name == found), None)
        return None

    def compact(self):
        """Up to now, when one of the etcds answers."""
        for program in self.etcds:
            try:
                revision = ask(program.machine.address, "maintenance/status")["header"]["revision"]
                ask(program.machine.address, "kv/compaction", revision=revision)
                return
            except (OSError, ValueError):
                pass

    def stop(self):
        """Programs that did not end as asked, with their status."""
        found = []
        for program in [*self.agents, *self.controlplanes, *self.etcds, *self.backends]:
            if program.popen is None or not program.is_running():
                continue
            try:
                status = program.stop()
            except AssertionError as error:
                found.append(str(error).splitlines()[0])
                continue
            if status not in (0, -15):
                found.append(f"{program.name} ended with {status}")
        return found


def ask(address, path, **body):
    """etcd, by its JSON gateway."""
    with urllib.request.urlopen(urllib.request.Request(
            f"http://{address}:2379/v3/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}), timeout=1) as answer:
        return json.load(answer)


def leader_of(address):
    try:
        status, members = ask(address, "maintenance/status"), ask(address, "cluster/member/list")
    except (OSError, ValueError):
        return None
    return next((each["name"] for each in members["members"] if each["ID"] == status.get("leader")), None)
