"""The contenders of the benchmarks: how each is started for a workload, and which it can do."""
import pathlib
import socket

from lib.process import BIN, Process, free_port
from lib.wait import until

KEY = "c0de" * 20  # the AppCode of the full chain
HOST = "bench.example.com"


def listens(port):
    return socket.create_connection(("127.0.0.1", port), 1).close() is None


class Peer(Process):
    """`title` is its name in the tables. certificate: of the host, when callers speak TLS."""

    def __init__(self, folder, backend, work, certificate):
        self.port = free_port()
        self.home = pathlib.Path(folder) / f"{self.title.replace(' ', '-')}-{work.name}"
        self.home.mkdir()
        super().__init__(f"{self.title.replace(' ', '-')}-{work.name}", self.prepare(backend, work, certificate), folder)

    def file(self, name, text):
        (self.home / name).write_text(text)
        return self.home / name

    def wait(self):
        until(lambda: not self.is_running() or listens(self.port), f"{self.name} to listen")
        assert self.is_running(), f"{self.name} ended:\n{self.tail()}"
        return self


class Relay(Peer):
    title = "null relay"

    @staticmethod
    def does(work):
        return not work.h2

    def prepare(self, backend, work, certificate):
        tls = [certificate.cert, certificate.key] if work.tls else []
        return [BIN / "null-relay", self.port, backend.port, *tls]


class SplicingRelay(Peer):
    title = "splice relay"

    @staticmethod
    def does(work):
        return work.body > 200 and not work.tls

    def prepare(self, backend, work, certificate):
        return [BIN / "null-relay", self.port, backend.port, "splice"]


class NginxProxy(Peer):
    title = "nginx"
    # The nearest that nginx has: a key by map, a limit by address and one by key, an address list, a header, a log.
    FULL = ("if ($app = '') { return 401; } limit_req zone=by_address burst=1000000 nodelay; "
            "limit_req zone=by_app burst=1000000 nodelay; allow 127.0.0.0/8; deny all; add_header X-Frame-Options DENY;")

    @staticmethod
    def does(_work):
        return True

    def prepare(self, backend, work, certificate):
        log = f"access_log {self.home}/access.log json buffer=64k flush=1s;" if work.log else "access_log off;"
        words = (" ssl" if work.tls else "") + (" http2" if work.h2 else "")
        tls = (f"ssl_certificate {certificate.cert}; ssl_certificate_key {certificate.key}; ssl_protocols TLSv1.2 TLSv1.3; "
               "ssl_session_cache shared:SSL:10m; ssl_buffer_size 16k;") if work.tls else ""
        routes = "".join(f"location /r{n}/ {{ return 204; }} " for n in range(work.routes))
        buffers = "proxy_buffers 16 64k; proxy_buffer_size 64k; proxy_max_temp_file_size 0;" if work.body > 200 else ""
        return ["/usr/sbin/nginx", "-p", self.home, "-c", self.file("nginx.conf", f"""
            daemon off; worker_processes 1; worker_rlimit_nofile 20000; error_log stderr error; pid {self.home}/pid;
            events {{ worker_connections 19000; }}
            http {{
              log_format json escape=json '{{"remote_addr":"$remote_addr","time":"$time_iso8601","method":"$request_method",'
                '"uri":"$uri","status":$status,"bytes":$bytes_sent,"time_taken":$request_time,"upstream":"$upstream_addr",'
                '"request_id":"$request_id"}}';
              map_hash_bucket_size 256; keepalive_timeout 300s;
              map $http_x_apig_appcode $app {{ default ""; "{KEY}" shop; }}
              limit_req_zone $binary_remote_addr zone=by_address:1m rate=1000000r/s;
              limit_req_zone $app zone=by_app:1m rate=1000000r/s;
              {log} keepalive_requests 100000000; client_body_temp_path {self.home}/b; proxy_temp_path {self.home}/p;
              fastcgi_temp_path {self.home}/f; uwsgi_temp_path {self.home}/u; scgi_temp_path {self.home}/s;
              upstream backend {{ server {backend.address}; keepalive 256; keepalive_requests 100000000; }}
              server {{ listen 127.0.0.1:{self.port}{words}; {tls} {routes}
                location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection '';
                  {buffers} {self.FULL if work.full else ''} }} }}
            }}""")]


class HaproxyProxy(Peer):
    title = "haproxy"
    CONNECTIONS_MAX = 9000  # each counts twice, of 20,000 descriptors
    FULL = f"""
              stick-table type ip size 100k expire 10s store http_req_rate(1s)
              http-request track-sc0 src
              http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 100000000 }}
              http-request deny deny_status 403 if !{{ src 127.0.0.0/8 }}
              http-request deny deny_status 401 if !{{ req.hdr(X-Apig-AppCode) -m str {KEY} }}
              http-response set-header X-Frame-Options DENY"""

    @staticmethod
    def does(_work):
        return True

    def prepare(self, backend, work, certificate):
        tls = alpn = routes = ""
        if work.tls:
            both = self.file("both.pem", certificate.cert.read_text() + certificate.key.read_text())
            tls = f" ssl crt {both}"
        if work.h2:
            alpn = " alpn h2" if work.tls else " proto h2"
        if work.routes:
            table = self.file("routes.map", "".join(f"/r{n} none\n" for n in range(work.routes)))
            routes = f"use_backend %[path,map_str({table},b)]"
        log = "option httplog\n              log stdout format raw local0" if work.log else ""
        splice = "option splice-response" if work.body > 200 else ""
        return ["/usr/sbin/haproxy", "-db", "-f", self.file("haproxy.cfg", f"""
            global
              nbthread 1
              maxconn {1000 if splice else self.CONNECTIONS_MAX}
            defaults
              mode http
              timeout client 300s
              timeout server 30s
              timeout connect 5s
              {splice}
            frontend f
              bind 127.0.0.1:{self.port}{tls}{alpn}
              {self.FULL if work.full else ''}
              {log}
              {routes}
              default_backend b
            backend none
              http-request return status 204
            backend b
              http-reuse always
              server s {backend.address}
""".replace("            ", ""))]


class H2o(Peer):
    title = "h2o"

    @staticmethod
    def does(work):
        return not work.full and not work.routes and not work.log and pathlib.Path("/usr/bin/h2o").exists()

    def prepare(self, backend, work, certificate):
        tls = f"\n  ssl:\n    certificate-file: {certificate.cert}\n    key-file: {certificate.key}" if work.tls else ""
        return ["/usr/bin/h2o", "-c", self.file("h2o.yaml", f"""
user: root
num-threads: 1
max-connections: 19000
http1-request-timeout: 300
access-log: /dev/null
listen:
  host: 127.0.0.1
  port: {self.port}{tls}
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: "http://{backend.address}/"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 60000
""".replace("access-log: /dev/null\n", ""))]


class Caddy(Peer):
    title = "caddy"

    @staticmethod
    def does(work):
        return not work.full and not work.routes and not work.log and pathlib.Path("/usr/bin/caddy").exists()

    def prepare(self, backend, work, certificate):
        site = f"https://{HOST}:{self.port}" if work.tls else f"http://:{self.port}"
        tls = f"tls {certificate.cert} {certificate.key}" if work.tls else ""
        text = f"""
{{
    admin off
    auto_https off
    default_sni {HOST}
    servers {{
        protocols h1 h2 h2c
    }}
}}
{site} {{
    bind 127.0.0.1
    {tls}
    reverse_proxy {backend.address}
}}
"""
        return ["/usr/bin/env", f"HOME={self.home}", "GOMAXPROCS=1", "/usr/bin/caddy", "run", "--adapter", "caddyfile",
                "--config", self.file("Caddyfile", text)]


PEERS = [Relay, SplicingRelay, NginxProxy, HaproxyProxy, H2o, Caddy]
