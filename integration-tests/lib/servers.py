"""The servers of the scenarios: etcd, control plane, agent, nginx, and a backend that records."""
import base64
import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from .process import BIN, Process, free_port
from .wait import until


class Etcd(Process):
    def stop(self, seconds=15):
        """It closes its store on SIGTERM and then ends by that signal."""
        status = super().stop(seconds)
        return 0 if status == -signal.SIGTERM else status

    def __init__(self, folder, name="etcd", extra=(), tls=None, listen="127.0.0.1"):
        """tls: its authority's file, its own certificate, and the one that penstock comes with."""
        self.port, self.peer_port, self.health_port = free_port(), free_port(), free_port()
        self.url = f"http{'s' if tls else ''}://{listen}:{self.port}"
        self.store = f"etcd:{self.url}"
        self.flags = ()  # of etcdctl toward it
        peer, health = f"http://127.0.0.1:{self.peer_port}", f"http://127.0.0.1:{self.health_port}"
        if tls:
            ca, server, client = tls
            extra = [*extra, "--client-cert-auth", "--trusted-ca-file", ca, "--cert-file", server.cert,
                     "--key-file", server.key]
            self.flags = ("--cacert", ca, "--cert", client.cert, "--key", client.key)
        super().__init__(name, [
            "/usr/bin/etcd", "--name", name, "--data-dir", f"{folder}/{name}.data",
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url, "--listen-metrics-urls", health,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"{name}={peer}", "--log-level", "warn",
            "--experimental-watch-progress-notify-interval=1s", *extra], folder)

    def start(self):
        super().start()
        return self.wait_http(f"http://127.0.0.1:{self.health_port}/health")

    def ctl(self, *words, stdin=b""):
        done = subprocess.run(["/usr/bin/etcdctl", "--endpoints", self.url, *map(str, self.flags), *words],
                              input=stdin, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put(self, key, value):
        """Past the API: whatever bytes."""
        self.ctl("put", key, stdin=value)

    def edit(self, prefix, old, new):
        """Replaces bytes in the values below the prefix; of one length, so that messages stay whole."""
        assert len(old) == len(new)
        found = [(base64.b64decode(kv["key"]).decode(), base64.b64decode(kv["value"]))
                 for kv in json.loads(self.ctl("get", "--prefix", prefix, "-w", "json"))["kvs"]]
        edited = [(key, value.replace(old, new)) for key, value in found if old in value]
        assert edited
        for key, value in edited:
            self.put(key, value)

    def compact(self):
        status = json.loads(self.ctl("endpoint", "status", "-w", "json"))[0]["Status"]
        self.ctl("compact", "--physical", str(status["header"]["revision"]))

    def take_over(self, other):
        """Starts next with the data of another one, that has ended, on the own address."""
        self.command = [word.replace(other.url, self.url) for word in other.command]
        self.health_port = other.health_port


class Nowhere:
    """In the place of a control plane: an address to connect to, by default one where nobody listens."""

    def __init__(self, address="127.0.0.1:1"):
        self.address = address


def as_resource(document):
    """A document of penstockctl as a BundleResource: what it says is what changes."""
    said = {key: value for key, value in document.items() if key != "kind"}
    kind = document["kind"]
    field = {"ApiGroup": "group", "AppCode": "code", "PolicyBinding": "binding"}.get(kind, kind[0].lower() + kind[1:])
    return {field: said, "updateMask": ",".join(key for key in said if key not in ("name", "etag"))}


class ControlPlane(Process):
    def __init__(self, folder, store=None, name="controlplane", extra=(), ports=(0, 0, 0)):
        self.port, self.ops_port, self.http_port = map(free_port, ports)
        self.address = f"127.0.0.1:{self.port}"
        self.ops = f"http://127.0.0.1:{self.ops_port}"
        self.json = f"http://127.0.0.1:{self.http_port}/v1/"
        self.flags = ()  # of penstockctl toward it
        super().__init__(name, [
            BIN / "penstock-controlplane", "--listen", self.address, "--ops-listen", f"127.0.0.1:{self.ops_port}",
            "--http-listen", f"127.0.0.1:{self.http_port}", "--store", store or f"sqlite:{folder}/{name}.db", *extra], folder)

    def move(self, host):
        """Another address than loopback."""
        for port in (self.port, self.ops_port, self.http_port):
            self.command = [word.replace(f"127.0.0.1:{port}", f"{host}:{port}") for word in self.command]
        self.address, self.ops = f"{host}:{self.port}", f"http://{host}:{self.ops_port}"
        self.json = f"http://{host}:{self.http_port}/v1/"

    def start(self):
        super().start()
        return self.wait_http(f"{self.ops}/readyz")

    def ctl(self, *words, stdin=None, check=True):
        """penstockctl WORDS; its CompletedProcess."""
        done = subprocess.run([BIN / "penstockctl", "--server", self.address, *self.flags, *map(str, words)],
                              input=stdin, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, f"penstockctl {words}: {done.returncode}\n{done.stderr}{self.tail(10)}"
        return done

    def call(self, path, body=None):
        """GET, or with a body POST, of the API's JSON form. Scenarios prepare what they are about by thousands of calls: as
        processes these would take longer than all the rest."""
        assert not self.flags, "it asks who calls: use ctl"
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.json + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}\n{self.tail(10)}") from None
        except OSError as error:
            raise AssertionError(f"{path}: {error}\n{self.tail(10)}") from None

    def apply(self, *documents):
        if self.flags or any(document["kind"] == "Settings" for document in documents):  # which are in no bundle
            self.ctl("apply", "-f", "-", stdin=json.dumps(documents))
        else:
            self.call("bundle:apply", {"resources": [as_resource(document) for document in documents]})

    def publish(self, api, environment="RELEASE", wait=True):
        """wait: until all agents serve it."""
        if self.flags:
            self.ctl("publish", api, "--env", environment, *(("--wait",) if wait else ()))
            return
        group, name = api.split("/")
        rollout = self.call(f"groups/{group}/apis/{name}:publish",
                            {"environment": f"environments/{environment}", "wait": "10s" if wait else None}).get("rollout", {})
        assert rollout.get("applied", 0) == rollout.get("agents", 0) and "refusals" not in rollout, rollout

    def settle(self, mark):
        """Until every connected agent serves what has been written so far: a marker is written, and waited for."""
        self.apply({"kind": "App", "name": "apps/marker", "displayName": mark})
        marker = self.get("app", "marker") if self.flags else self.call("apps/marker")
        revision = int(marker["etag"].strip('"'))

        def passed():
            agents = [agent for agent in self.list("agents") if agent.get("connected")]
            return agents and all(int(agent.get("appliedRevision", 0)) >= revision for agent in agents)
        until(passed, f"the agents to apply revision {revision}")

    def get(self, kind, name):
        return json.loads(self.ctl("get", kind, name, "-o", "json").stdout)

    def list(self, kind, *parent):
        if kind == "agents" and not self.flags:
            return self.call("agents?pageSize=1000").get("agents", [])
        return json.loads(self.ctl("get", kind, *parent, "-o", "json").stdout)


class Agent(Process):
    def __init__(self, folder, controlplane, name="agent", extra=(), ports=(0, 0)):
        self.port, self.ops_port = map(free_port, ports)
        self.ops = f"http://127.0.0.1:{self.ops_port}"
        self.access_log = folder / f"{name}.access.log"
        super().__init__(name, [
            BIN / "penstock-agent", "--listen", f"127.0.0.1:{self.port}", "--ops-listen", f"127.0.0.1:{self.ops_port}",
            "--controlplane", controlplane.address, "--agent-id", name, "--cache-dir", folder,
            "--access-log", self.access_log, "--drain-grace", "0ms", *extra], folder)

    def start(self):
        super().start()
        return self.wait_http(f"{self.ops}/readyz")

    def metric(self, series):
        """Value of a series as it is written, 0 when it is not there."""
        from .process import http_text
        for line in http_text(f"{self.ops}/metrics").splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


class Nginx(Process):
    """A backend that nobody here wrote."""

    def __init__(self, folder, name="nginx", server="location / { return 200 \"nginx $request_uri\\n\"; }"):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        (folder / name).mkdir()
        (folder / name / "nginx.conf").write_text(f"""
            daemon off; worker_processes 1; error_log stderr warn; pid {folder}/{name}/pid;
            events {{ worker_connections 1024; }}
            http {{
              access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/{name}/body;
              proxy_temp_path {folder}/{name}/proxy; fastcgi_temp_path {folder}/{name}/fastcgi;
              uwsgi_temp_path {folder}/{name}/uwsgi; scgi_temp_path {folder}/{name}/scgi;
              server {{ listen {self.address}; root {folder}/{name}; {server} }}
            }}""")
        super().__init__(name, ["/usr/sbin/nginx", "-p", folder / name, "-c", folder / name / "nginx.conf"], folder)

    def start(self):
        super().start()
        until(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None, "nginx to listen")
        return self


class Echo:
    """Answers every request with what it got, as JSON, and keeps it in `requests`."""

    def __init__(self, listen=("127.0.0.1", 0)):
        self.requests, backend = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def chunk_size(self):
                line = self.rfile.readline()
                if not line:
                    raise ConnectionResetError("the body is cut off")
                return int(line.split(b";")[0], 16)

            def read_body(self):
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := self.chunk_size():
                    body += self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline() not in (b"\r\n", b""):
                    pass
                return body

            def answer(self):
                request = {"method": self.command, "path": self.path, "headers": dict(self.headers.items()),
                           "body": self.read_body().decode("latin-1")}
                backend.requests.append(request)
                status, headers, body = backend.reply(request)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
            daemon_threads = True

            def handle_error(self, *caller):
                if not isinstance(sys.exc_info()[1], ConnectionError):  # those are what scenarios do to it
                    super().handle_error(*caller)

        self.server = Server(listen, Handler)
        self.port = self.server.server_address[1]
        self.address = f"[{listen[0]}]:{self.port}" if ":" in listen[0] else f"{listen[0]}:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def reply(self, request):
        """Replaced by tests that want another answer: status, headers, body."""
        return 200, [("Content-Type", "application/json"), ("X-Backend", "echo")], json.dumps(request).encode()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
