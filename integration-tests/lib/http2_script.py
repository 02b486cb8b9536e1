"""A backend of HTTP/2 that says frame for frame what a scenario tells it."""
import socket
import struct
import threading

from .http2 import ACK, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, Frames, fields, frame, settings_frame


class Peer(Frames):
    """One connection to it, whose beginning is done."""

    def __init__(self, opened, settings):
        super().__init__(opened)
        if self.file.read(len(PREFACE)) != PREFACE:
            raise ConnectionError("no HTTP/2")
        self.send(settings_frame(settings))
        self.settings = dict(struct.iter_unpack(">HI", self.until(SETTINGS).payload))
        self.send(frame(SETTINGS, ACK, 0))

    def request(self):
        """The next head: its fields and its stream."""
        return self.until(HEADERS)

    def head(self, stream, *pairs, end=False):
        return self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, fields(*pairs)))

    def hold(self, stream):
        """The tunnel stays open until the caller ends it."""
        self.take(stream, 1 << 40)
        return self.data(stream, end=True)

    def answer(self, stream, status="200", body=b"ok"):
        return self.head(stream, (":status", status)).data(stream, body, end=True)

    def flood(self, stream, silence=1.0):
        """As much as is taken; how much that was, once nothing is for so many seconds. Nothing can be read after it."""
        self.socket.settimeout(silence)
        try:
            while True:
                self.pour(stream, b"z" * 16384)
        except socket.timeout:
            return self.poured


class Http2Script:
    """`talk(peer)` is called for every connection, on a thread of its own; at its end the connection closes."""

    def __init__(self, settings=()):
        self.settings, self.talk, self.connections = settings, None, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                opened, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            opened.settimeout(20)
            threading.Thread(target=self.serve, args=(opened,), daemon=True).start()

    def serve(self, opened):
        with opened:
            try:
                self.talk(Peer(opened, self.settings))
            except OSError:
                return

    def stop(self):
        self.listener.close()
