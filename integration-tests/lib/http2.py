"""HTTP/2 frame by frame: what is sent is exactly what the test says."""
import socket
import struct

import hpack

from .http1 import Answer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, _, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, \
    CANCEL, COMPRESSION_ERROR, _, ENHANCE_YOUR_CALM = range(12)
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
ENABLE_CONNECT_PROTOCOL = 8  # RFC 8441


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    return (bytes([len(raw)]) if len(raw) < 127 else bytes([127]) + number(len(raw) - 127)) + raw


def fields(*pairs):
    """A header block with nothing indexed and nothing compressed."""
    return b"".join(b"\0" + text(name) + text(value) for name, value in pairs)


def number(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    @property
    def code(self):
        """The error code of RST_STREAM and GOAWAY."""
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])[0]

    def __repr__(self):
        return f"<kind {self.kind} flags {self.flags} stream {self.stream} {self.payload[:60]!r}>"


def settings_frame(settings):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in settings))


class Frames:
    """Either end of a connection."""

    def __init__(self, opened):
        self.socket, self.file = opened, opened.makefile("rb")
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self.settings, self.windows = {}, {0: 65535}  # of the other end: what it said, what it takes
        self.poured = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def read(self):
        """The next frame; None at the end of the connection."""
        try:
            head = self.file.read(9)
            if len(head) < 9:
                return None
            kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
            got = Frame(kind, flags, stream, self.file.read(int.from_bytes(head[:3], "big")))
        except ConnectionError:
            return None
        if got.kind == WINDOW_UPDATE:
            self.windows[stream] = self.room(stream) + int.from_bytes(got.payload, "big")
        if got.kind == HEADERS:
            while not got.flags & END_HEADERS:
                more = self.read()
                got.payload, got.flags = got.payload + more.payload, got.flags | more.flags
            got.fields = dict(self.decoder.decode(got.payload))
        return got

    def until(self, kind, stream=None):
        """Frames up to one of that kind, which is returned; None when the connection ends before."""
        while (got := self.read()) is not None:
            if got.kind == kind and stream in (None, got.stream):
                return got
        return None

    def read_past(self, *kinds):
        """The next frame of another kind than these."""
        while (got := self.read()) is not None and got.kind in kinds:
            pass
        return got

    def data(self, stream, payload=b"", end=False):
        return self.send(frame(DATA, END_STREAM if end else 0, stream, payload))

    def room(self, stream):
        return self.windows.get(stream, self.settings.get(INITIAL_WINDOW_SIZE, 65535))

    def pour(self, stream, data):
        """DATA as far as the other end's windows let it; reads over what else it says meanwhile."""
        while data:
            size = min(len(data), 16384, self.room(stream), self.room(0))
            if size > 0:
                self.data(stream, data[:size])
                self.windows[0], self.windows[stream] = self.room(0) - size, self.room(stream) - size
                data, self.poured = data[size:], self.poured + size
            elif self.read() is None:
                raise ConnectionError("the other end has left")
        return self

    def reset(self, stream, code=CANCEL):
        return self.send(frame(RST_STREAM, 0, stream, code.to_bytes(4, "big")))

    def window(self, stream, size):
        return self.send(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size)))

    def take(self, stream, size):
        """So many bytes of its DATA, for which it gets the windows back; fewer at its end, good or bad."""
        pieces, left = [], size
        while left > 0 and (piece := self.read()) is not None:
            if piece.stream != stream or piece.kind not in (DATA, RST_STREAM):
                continue
            if piece.kind == DATA:
                pieces.append(piece.payload)
                left -= len(piece.payload)
            if piece.kind == RST_STREAM or piece.flags & END_STREAM:
                break
            if piece.payload:
                self.window(0, len(piece.payload)).window(stream, len(piece.payload))
        return b"".join(pieces)

    def is_closed(self):
        """After a GOAWAY or without one."""
        while (got := self.read()) is not None:
            pass
        return got is None


class Session(Frames):
    """A connection to 127.0.0.1:port, or over something like a socket, whose beginning is done, acknowledgement included."""

    def __init__(self, port, host, settings=((INITIAL_WINDOW_SIZE, 1 << 24),), window=1 << 24, timeout=10, preface=None,
                 over=None):
        self.host, self.next = host, 1
        super().__init__(over or socket.create_connection(("127.0.0.1", port), timeout))
        self.send(preface or PREFACE + settings_frame(settings))
        first = self.read()
        self.settings = dict(struct.iter_unpack(">HI", first.payload))
        if preface:
            return
        self.send(frame(SETTINGS, ACK, 0))
        if window:
            self.window(0, window)

    def connect(self, path="/", *fields):
        """Asks for a WebSocket tunnel (RFC 8441); the number of its stream."""
        return self.request("CONNECT", path, [("sec-websocket-version", "13"), *fields], end=False, protocol="websocket")

    def status(self, stream):
        return self.until(HEADERS, stream).fields[":status"]

    def request(self, method="GET", path="/", headers=(), end=True, **pseudo):
        """Sends the head; the number of its stream."""
        pseudo = {"method": method, "scheme": "http", "path": path, "authority": self.host, **pseudo}
        pairs = [(f":{key}", value) for key, value in pseudo.items() if value is not None]
        return self.open(fields(*pairs, *headers), end)

    def open(self, block, end=True):
        stream, self.next = self.next, self.next + 2
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block))
        return stream

    def answer(self, stream):
        """The whole answer; trailers are in `.trailers`. A Frame when the stream is reset or the connection goes."""
        heads, body = [], b""
        while (got := self.read()) is not None:
            if got.kind == GOAWAY or (got.kind == RST_STREAM and got.stream == stream):
                return got
            if got.stream != stream:
                continue
            if got.kind == HEADERS:
                heads.append(got.fields)
            elif got.kind == DATA:
                body += got.payload
            if got.kind in (HEADERS, DATA) and got.flags & END_STREAM:
                return whole(heads, body)
        return None


def whole(heads, body):
    finals = [head for head in heads if not head.get(":status", "200").startswith("1")]
    answer = Answer(int(finals[0][":status"]), [pair for pair in finals[0].items() if pair[0] != ":status"], body)
    answer.interim = [int(head[":status"]) for head in heads if head not in finals]
    answer.trailers = finals[1] if len(finals) > 1 else {}
    return answer
