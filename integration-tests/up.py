"""./dev up: a control plane, an agent and a backend on loopback; an example API is created, published and called."""
import argparse
import base64
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib.certificates import Authority  # noqa: E402
from lib.process import BIN, free_port  # noqa: E402
from lib.servers import Agent, ControlPlane, Echo, Etcd  # noqa: E402

HERE = pathlib.Path(__file__).parent
HOST = "orders.example.com"
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(text):
    print(f"\n{BOLD}== {text}{PLAIN}", flush=True)


def show(command, stdin=None):
    """Runs a command as a person would type it, with its output."""
    print("$ " + " ".join(command).replace(str(BIN) + "/", ""), flush=True)
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    print(done.stdout, end="" if done.stdout.endswith("\n") else "\n", flush=True)
    if done.returncode != 0:
        raise SystemExit(f"that failed with exit status {done.returncode}")
    return done.stdout


class Endings:
    """Signals that end it: KeyboardInterrupt, but not between the start of a program and knowing its pid."""
    NUMBERS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

    def __init__(self):
        self.held, self.came = False, False
        for number in self.NUMBERS:  # also when a shell started us in the background
            signal.signal(number, self.on_signal)

    def on_signal(self, *_):
        self.came = True
        if not self.held:
            raise KeyboardInterrupt

    def hold(self, call):
        def held():
            self.held = True
            try:
                result = call()
            finally:
                self.held = False
            if self.came:
                raise KeyboardInterrupt
            return result
        return held

    def ignore(self):
        for number in self.NUMBERS:  # nothing stays behind, however often somebody says so
            signal.signal(number, signal.SIG_IGN)


class Demo:
    def __init__(self, store, endings):
        self.endings = endings
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="penstock-up-"))
        self.store, self.processes, self.authority = store, [], Authority(self.folder)
        self.backend = Echo(("127.0.0.1", free_port(8000)))  # where the example's file says: it can be edited and applied

    def start(self):
        seal_keys = self.folder / "seal.keys"
        seal_keys.write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
        url = self.run(Etcd(self.folder)).store if self.store == "etcd" else None
        self.controlplane = self.run(ControlPlane(self.folder, url, ports=(9440, 9441, 9442), extra=("--seal-key-file", seal_keys)))
        self.tls_port = free_port(8443)
        agent = Agent(self.folder, self.controlplane, ports=(8080, 9100))
        agent.command[agent.command.index("--listen") + 1] += f", 127.0.0.1:{self.tls_port} tls"
        self.agent = self.run(agent)
        self.ctl = [str(BIN / "penstockctl"), "--server", self.controlplane.address]

    def run(self, process):
        print(f"starting {process.name}", flush=True)
        self.processes.append(process)  # first: a signal may come while it starts
        process.launch = self.endings.hold(process.launch)
        return process.start()

    def example(self):
        """Its file; a copy with another port only if that of the backend is somebody else's."""
        file = HERE / "example/orders.yaml"
        if self.backend.port != 8000:
            copy = self.folder / file.name
            copy.write_text(file.read_text().replace("port: 8000", f"port: {self.backend.port}"))
            file = copy
        return [str(file)]

    def call(self, *flags, https=False):
        """curl, as a caller of the API; the status of the answer."""
        way = ["-H", f"Host: {HOST}", f"http://127.0.0.1:{self.agent.port}/orders/7"]
        if https:
            way = ["--cacert", str(self.authority.ca), "--resolve", f"{HOST}:{self.tls_port}:127.0.0.1",
                   f"https://{HOST}:{self.tls_port}/orders/7"]
        return int(show(["curl", "-sS", "-i", *flags, *way]).split()[1])

    def certificate(self):
        """For the example's domain, as a document; penstockctl reads the files."""
        issued = self.authority.issue(HOST, f"DNS:{HOST}")
        return (f"kind: Certificate\nname: certificates/orders\ncertificatePem: {{file: {issued.cert}}}\n"
                f"privateKeyPem: {{file: {issued.key}}}\n---\n"
                f"kind: Domain\nname: groups/orders/domains/{HOST}\ncertificates: [certificates/orders]\n")

    def expect(self, status, *flags, https=False):
        if self.call(*flags, https=https) != status:
            raise SystemExit(f"expected status {status}")

    def walk(self):
        say("an API, an app that may call it, a limit of three calls a minute")
        show([*self.ctl, "apply", "-f", *self.example()])
        say("a certificate for its domain; the private key is stored sealed")
        show([*self.ctl, "apply", "-f", "-"], self.certificate())
        code = show([*self.ctl, "create", "-f", "-"], "{kind: AppCode, name: apps/shop/codes/main}").split("code: ")[1].split()[0]
        say("callers see nothing until it is published")
        self.expect(404)
        say("its draft can be tried all the same")
        show([*self.ctl, "debug", "orders/read", "--path", "/orders/7"])
        say("published, it is what callers reach")
        show([*self.ctl, "publish", "orders/read", "--wait", "--description", "the first one"])
        say("a call without an AppCode is refused")
        self.expect(401)
        say("with the code it reaches the backend, which echoes what it got")
        self.expect(200, "-H", f"X-Apig-AppCode: {code}")
        say("and by HTTPS, which is HTTP/2 for who can speak it")
        self.expect(200, "-H", f"X-Apig-AppCode: {code}", https=True)
        say("one more, and the limit is reached")
        # A minute may begin meanwhile, and the count with it: then it takes three calls more.
        statuses = []
        while 429 not in statuses and len(statuses) < 7:
            statuses.append(self.call("-H", f"X-Apig-AppCode: {code}"))
        if statuses[-1] != 429 or set(statuses[:-1]) - {200}:
            raise SystemExit(f"expected three calls a minute and then 429, got {statuses}")
        show([*self.ctl, "history", "orders/read"])
        show([*self.ctl, "agents"])
        self.code = code

    def print_addresses(self):
        say("it is all yours until Ctrl-C")
        print(f"""  gateway   http://127.0.0.1:{self.agent.port}         (Host: {HOST})
            https://{HOST}:{self.tls_port}   (at 127.0.0.1; its authority is {self.authority.ca})
  admin     {self.controlplane.address}                (gRPC; reflection is on)
            http://127.0.0.1:{self.controlplane.http_port}/v1/           (the same as JSON)
  metrics   {self.agent.ops}/metrics and {self.controlplane.ops}/metrics
  logs      {self.folder}

  try       export PENSTOCK_SERVER={self.controlplane.address} PATH={BIN}:$PATH
            penstockctl get apis
            penstockctl get policy three-a-minute -o yaml
            curl http://127.0.0.1:{self.controlplane.http_port}/v1/groups/orders/apis/read
            curl -H 'Host: {HOST}' -H 'X-Apig-AppCode: {self.code}' http://127.0.0.1:{self.agent.port}/orders/7""")

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        self.backend.stop()
        shutil.rmtree(self.folder)


def main():
    parser = argparse.ArgumentParser(prog="./dev up", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the calls")
    parser.add_argument("--store", choices=("sqlite", "etcd"), default="sqlite")
    options = parser.parse_args()
    endings = Endings()
    demo = Demo(options.store, endings)
    try:
        demo.start()
        demo.walk()
        if options.once:
            say("every step worked")
        else:
            demo.print_addresses()
            signal.pause()
    except KeyboardInterrupt:
        if options.once:
            raise SystemExit("interrupted") from None
    finally:
        endings.ignore()
        demo.stop()


if __name__ == "__main__":
    main()
