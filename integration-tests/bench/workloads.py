"""What is measured, in the order of the tables."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    title: str
    path: str = "/"
    body: int = 200         # bytes of an answer
    full: bool = False      # every policy, and the access log
    routes: int = 0         # more APIs (or the nearest that a peer has)
    log: bool = False
    tls: str = ""           # "1.2", "1.3": callers speak TLS
    key: str = "ec"         # of the certificate: "ec" (P-256) or "rsa:2048"
    load: str = "wrk"       # or "close" (a connection for each request), "h2load", "full", "resumed" (handshakes)
    connections: int = 64

    @property
    def h2(self):
        return self.load == "h2load"

    @property
    def handshakes(self):
        return self.load in ("full", "resumed")


def workloads(routes):
    many = f"{routes:,} routes"
    return [
        Work("plain", "plain proxying, keep-alive, 200-byte answers"),
        Work("routes", f"the same with {many}", routes=routes),
        Work("log", "the same with a JSON access log", log=True),
        Work("full", f"full chain: {many}, AppCode, throttle by API, app and address, IP access, response header, "
             "JSON access log, metrics", full=True, log=True, routes=routes),
        Work("connect", "a new connection for each request", load="close"),
        Work("body-10k", "bodies of 10 KB", path="/10k", body=10 * 1024),
        Work("body-100k", "bodies of 100 KB", path="/100k", body=100 * 1024, connections=16),
        Work("body-10m", "bodies of 10 MB", path="/10m", body=10 * 1024 * 1024, connections=8),
        Work("tls13", "TLS 1.3, keep-alive, 200-byte answers", tls="1.3"),
        Work("tls12", "TLS 1.2, keep-alive, 200-byte answers", tls="1.2"),
        Work("tls-body-100k", "TLS 1.3, bodies of 100 KB", path="/100k", body=100 * 1024, tls="1.3", connections=16),
        Work("tls-body-10m", "TLS 1.3, bodies of 10 MB", path="/10m", body=10 * 1024 * 1024, tls="1.3", connections=8),
        Work("handshake-ecdsa", "TLS 1.3 handshakes, ECDSA P-256", tls="1.3", load="full"),
        Work("handshake-rsa", "TLS 1.3 handshakes, RSA 2048", tls="1.3", key="rsa:2048", load="full"),
        Work("handshake-resumed", "TLS 1.3 handshakes, resumed", tls="1.3", load="resumed"),
        Work("h2c", "HTTP/2 in the clear, 16 connections of 32 streams", load="h2load", connections=16),
        Work("h2", "HTTP/2 over TLS 1.3, 16 connections of 32 streams", tls="1.3", load="h2load", connections=16),
    ]
