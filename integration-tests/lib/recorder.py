"""A backend that keeps every byte, and reads them as the strictest reader would."""
import re
import socket
import threading

HEAD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ (?:/[!-~]*|\*|http://[!-~]+) HTTP/1\.[01]\r\n"
                  rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)*\r\n")
LAST_CHUNK = re.compile(rb"0+(?:;[\t -~]*)?\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)*\r\n")
CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})(?:;[\t -~]*)?\r\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Garbled(Exception):
    """Bytes that are no HTTP/1.1 in its strictest reading."""


class Forwarded:
    """One request as it came: `garbled` says why it is none."""

    def __init__(self, head):
        self.head, self.body, self.garbled = head, b"", None
        self.method, self.target = head.split(b" ", 2)[:2]
        self.fields = [(name.lower(), value.strip(b"\t ")) for name, value in
                       (line.split(b":", 1) for line in head.split(b"\r\n")[1:-2])]

    def all(self, name):
        return [value for field, value in self.fields if field == name]

    def __repr__(self):
        return f"{self.method.decode('latin-1')} {self.target[:24].decode('latin-1')} +{len(self.body)}"


class Recorder:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.changed, self.requests, self.busy = threading.Condition(), [], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=Reading(self, connection).run, daemon=True).start()

    def take(self):
        """What has come since the last call, once nothing is half there any more."""
        with self.changed:
            self.changed.wait_for(lambda: self.busy == 0, 2)
            taken, self.requests = self.requests, []
        return taken

    def stop(self):
        self.listener.close()


class Reading:
    """One connection."""

    def __init__(self, recorder, connection):
        self.recorder, self.connection, self.rest, self.is_busy = recorder, connection, b"", False

    def set_busy(self, busy):
        with self.recorder.changed:
            self.recorder.busy += busy - self.is_busy
            self.is_busy = busy
            self.recorder.changed.notify_all()

    def keep(self, request):
        with self.recorder.changed:
            self.recorder.requests.append(request)

    def fill(self):
        data = self.connection.recv(65536)
        if not data:
            raise EOFError
        self.rest += data
        self.set_busy(True)

    def until(self, found):
        while not found():
            self.fill()

    def cut(self, length):
        self.until(lambda: len(self.rest) >= length)
        piece, self.rest = self.rest[:length], self.rest[length:]
        return piece

    def run(self):
        request = None
        with self.connection:
            try:
                while True:
                    self.until(lambda: b"\r\n\r\n" in self.rest)
                    request = self.read_head()
                    self.read_body(request)
                    self.keep(request)
                    request = None
                    self.connection.sendall(OK)
                    self.set_busy(bool(self.rest))
            except (Garbled, EOFError, OSError) as error:
                if isinstance(error, Garbled) or self.rest or request:
                    self.keep_broken(request, error)
            finally:
                self.set_busy(False)

    def keep_broken(self, request, error):
        """Half a request, whose end never came, is none: nobody acts on it."""
        if isinstance(error, Garbled):
            request = request or Forwarded(b"GARBLED / HTTP/1.1\r\n\r\n")
            request.garbled = f"{error}: {self.rest[:200]!r}"
            self.keep(request)

    def read_head(self):
        end = self.rest.index(b"\r\n\r\n") + 4
        head, self.rest = self.rest[:end], self.rest[end:]
        if not HEAD.fullmatch(head):
            self.rest = head + self.rest
            raise Garbled("head")
        return Forwarded(head)

    def read_body(self, request):
        lengths, codings = request.all(b"content-length"), request.all(b"transfer-encoding")
        if len(lengths) + len(codings) > 1 or [value.lower() for value in codings] not in ([], [b"chunked"]):
            raise Garbled(f"framing {lengths} {codings}")
        if [value for value in lengths if not re.fullmatch(rb"[0-9]+", value)]:
            raise Garbled(f"length {lengths}")
        if codings not in ([], [b"chunked"]) or lengths and not re.fullmatch(rb"0|[1-9][0-9]{,17}", lengths[0]):
            request.garbled = f"unusual framing {lengths} {codings}"
        if request.all(b"expect"):
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if codings:
            self.read_chunks(request)
        elif lengths:
            request.body = self.cut(int(lengths[0]))

    def read_chunks(self, request):
        while True:
            self.until(lambda: b"\r\n" in self.rest)
            size = CHUNK.match(self.rest)
            if not size:
                raise Garbled("chunk")
            if int(size.group(1), 16) == 0:
                break
            self.cut(size.end())
            request.body += self.cut(int(size.group(1), 16))
            if self.cut(2) != b"\r\n":
                raise Garbled("end of a chunk")
        self.until(lambda: b"\r\n\r\n" in self.rest)
        end = self.rest.index(b"\r\n\r\n") + 4
        if not LAST_CHUNK.fullmatch(self.rest[:end]):
            raise Garbled("trailers")
        self.cut(end)
