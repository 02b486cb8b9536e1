"""Proxies that nobody here wrote, each in front of a backend and with its own defaults of what is an HTTP request."""
import socket

from .process import Process, free_port
from .wait import until

PATIENCE_MS = 400  # for the rest of a request: half of one is told from a whole one


class Proxy(Process):
    def start(self):
        super().start()
        until(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None, f"{self.name} to listen")
        return self


class NginxProxy(Proxy):
    def __init__(self, folder, backend):
        self.port, home = free_port(), folder / "nginx-proxy"
        home.mkdir()
        (home / "nginx.conf").write_text(f"""
            daemon off; worker_processes 1; error_log stderr crit; pid {home}/pid;
            events {{ worker_connections 256; }}
            http {{
              access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
              uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
              client_header_timeout {PATIENCE_MS}ms; client_body_timeout {PATIENCE_MS}ms; lingering_close off;
              upstream backend {{ server {backend.address}; keepalive 8; }}
              server {{ listen 127.0.0.1:{self.port};
                location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection '';
                              proxy_set_header Host $http_host; }} }}
            }}""")
        super().__init__("nginx-proxy", ["/usr/sbin/nginx", "-p", home, "-c", home / "nginx.conf"], folder)


class HaproxyProxy(Proxy):
    def __init__(self, folder, backend, bind="", patience_ms=PATIENCE_MS):
        """bind: what its address is followed by, such as "proto h2"."""
        self.port, config = free_port(), folder / "haproxy.cfg"
        self.address = f"127.0.0.1:{self.port}"
        config.write_text(f"""
            global
              maxconn 256
            defaults
              mode http
              timeout connect 5s
              timeout server 5s
              timeout client {patience_ms}ms
              timeout http-request {patience_ms}ms
              http-reuse always
            listen gateway
              bind 127.0.0.1:{self.port} {bind}
              server backend {backend.address}\n""")
        super().__init__("haproxy", ["/usr/sbin/haproxy", "-db", "-f", config], folder)

    def stop(self, seconds=15):
        status = super().stop(seconds)
        return 0 if status in (143, -15) else status  # as told, in two ways to say so


class NodeProxy(Proxy):
    SCRIPT = """
        const http = require("http");
        const [port, backend, patience] = process.argv.slice(2).map(Number);
        const agent = new http.Agent({keepAlive: true});
        const server = http.createServer({connectionsCheckingInterval: 50}, (request, response) => {
          const fields = [];
          for (let i = 0; i < request.rawHeaders.length; i += 2)
            if (!/^(connection|keep-alive|transfer-encoding|upgrade|expect|trailer|te)$/i.test(request.rawHeaders[i]))
              fields.push([request.rawHeaders[i], request.rawHeaders[i + 1]]);
          let call;
          try {
            call = http.request({host: "127.0.0.1", port: backend, agent, method: request.method, path: request.url});
            const names = new Map();
            for (const [name, value] of fields) names.set(name, [...(names.get(name) || []), value]);
            if (request.headers["transfer-encoding"]) call.setHeader("Transfer-Encoding", "chunked");
            for (const [name, values] of names) call.setHeader(name, values.length > 1 ? values : values[0]);
          } catch (error) { response.writeHead(400).end(); return; }
          call.on("response", (answer) => { response.writeHead(answer.statusCode, answer.headers); answer.pipe(response); });
          call.on("error", () => { response.destroy(); });
          request.on("error", () => call.destroy()).on("aborted", () => call.destroy());
          request.pipe(call);
        });
        server.headersTimeout = server.requestTimeout = patience;
        server.listen(port, "127.0.0.1");
        process.on("SIGTERM", () => process.exit(0));
        """

    def __init__(self, folder, backend):
        self.port, script = free_port(), folder / "proxy.js"
        script.write_text(self.SCRIPT)
        super().__init__("node-proxy", ["node", script, self.port, backend.port, PATIENCE_MS], folder)
