"""The contenders of the benchmarks: how each is started for each kind of work."""
import pathlib

from lib.process import BIN, Process, free_port
from lib.wait import until
import socket

KEY = "c0de" * 20  # the AppCode of the full chain


def listens(port):
    return socket.create_connection(("127.0.0.1", port), 1).close() is None


class Relay(Process):
    name = "null relay"
    does = ("plain",)

    def __init__(self, folder, backend, work):
        self.port = free_port()
        super().__init__(f"relay-{work}", [BIN / "null-relay", self.port, backend.port], folder)


class NginxProxy(Process):
    name = "nginx"
    does = ("plain", "full")
    PLAIN = "location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ''; {more} }}"
    # The nearest that nginx has: a key by map, a limit by address and one by key, an address list, a header, a log.
    FULL = ("if ($app = '') {{ return 401; }} limit_req zone=by_address burst=1000000 nodelay; "
            "limit_req zone=by_app burst=1000000 nodelay; allow 127.0.0.0/8; deny all; add_header X-Frame-Options DENY;")

    def __init__(self, folder, backend, work):
        self.port = free_port()
        home = pathlib.Path(folder) / f"nginx-proxy-{work}"
        home.mkdir()
        full = work == "full"
        log = f"access_log {home}/access.log json buffer=64k flush=1s;" if full else "access_log off;"
        (home / "nginx.conf").write_text(f"""
            daemon off; worker_processes 1; error_log stderr error; pid {home}/pid;
            events {{ worker_connections 4096; }}
            http {{
              log_format json escape=json '{{"remote_addr":"$remote_addr","time":"$time_iso8601","method":"$request_method",'
                '"uri":"$uri","status":$status,"bytes":$bytes_sent,"time_taken":$request_time,"upstream":"$upstream_addr",'
                '"request_id":"$request_id"}}';
              map_hash_bucket_size 256;
              map $http_x_apig_appcode $app {{ default ""; "{KEY}" shop; }}
              limit_req_zone $binary_remote_addr zone=by_address:1m rate=1000000r/s;
              limit_req_zone $app zone=by_app:1m rate=1000000r/s;
              {log} keepalive_requests 100000000; client_body_temp_path {home}/b; proxy_temp_path {home}/p;
              fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
              upstream backend {{ server {backend.address}; keepalive 256; keepalive_requests 100000000; }}
              server {{ listen 127.0.0.1:{self.port}; {self.PLAIN.format(more=self.FULL.format() if full else '')} }}
            }}""")
        super().__init__(f"nginx-{work}", ["/usr/sbin/nginx", "-p", home, "-c", home / "nginx.conf"], folder)


class HaproxyProxy(Process):
    name = "haproxy"
    does = ("plain", "full")

    def __init__(self, folder, backend, work):
        self.port = free_port()
        config = pathlib.Path(folder) / f"haproxy-{work}.cfg"
        full = f"""
              stick-table type ip size 100k expire 10s store http_req_rate(1s)
              http-request track-sc0 src
              http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 100000000 }}
              http-request deny deny_status 403 if !{{ src 127.0.0.0/8 }}
              http-request deny deny_status 401 if !{{ req.hdr(X-Apig-AppCode) -m str {KEY} }}
              http-response set-header X-Frame-Options DENY
              option httplog
              log stdout format raw local0""" if work == "full" else ""
        config.write_text(f"""
            global
              nbthread 1
              maxconn 4000
            defaults
              mode http
              timeout client 30s
              timeout server 30s
              timeout connect 5s
            frontend f
              bind 127.0.0.1:{self.port}
              {full}
              default_backend b
            backend b
              http-reuse always
              server s {backend.address}
""".replace("            ", ""))
        super().__init__(f"haproxy-{work}", ["/usr/sbin/haproxy", "-q", "-db", "-f", config], folder)


def wait(process):
    until(lambda: listens(process.port), f"{process.name} to listen")
    return process
