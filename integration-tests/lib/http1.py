"""HTTP/1.1 by hand: what is sent is exactly what the test says."""
import json
import re
import socket


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if values else None

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json().get("error_code")

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Connection:
    """One TCP connection to that port of 127.0.0.1, or of another address."""

    def __init__(self, port, timeout=10, address="127.0.0.1"):
        self.socket = socket.create_connection((address, port), timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def read(self, method="GET"):
        """One whole answer; None at the end of the connection."""
        line = self.file.readline()
        if not line:
            return None
        status = int(re.fullmatch(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n", line).group(1))
        headers = []
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, value = line.decode("latin-1").rstrip("\r\n").split(":", 1)
            headers.append((name, value.strip()))
        return Answer(status, headers, self.read_body(status, headers, method))

    def read_body(self, status, headers, method):
        fields = {name.lower(): value for name, value in headers}
        if method == "HEAD" or status in (204, 304) or status < 200:
            return b""
        if fields.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.file.readline().split(b";")[0], 16):
                body += self.file.read(size)
                assert self.file.read(2) == b"\r\n"
            self.trailers = []
            while (line := self.file.readline()) not in (b"\r\n", b""):
                self.trailers.append(line.decode().strip())
            return body
        if "content-length" in fields:
            return self.file.read(int(fields["content-length"]))
        return self.file.read()

    def is_closed(self):
        """Waits for the end of the connection; bytes that still come are an error."""
        rest = self.file.read()
        assert rest == b"", rest
        return True


def request(port, path, host, method="GET", headers=(), body=b"", address="127.0.0.1"):
    """One request on a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    with Connection(port, address=address) as connection:
        connection.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return connection.read(method)
