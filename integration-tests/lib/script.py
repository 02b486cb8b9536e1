"""A backend that says byte for byte what a scenario tells it."""
import socket
import threading


class Script:
    """`answer(socket, head, rest)` is called for every request head with what was read behind it; it writes to the
    socket and returns True to read another request. The heads are kept in `heads`. context: over TLS."""

    def __init__(self, context=None):
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.answer, self.heads, self.connections = None, [], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def says(self, *pieces, keep=False):
        """Every request is answered with these bytes; then the connection closes unless it is kept."""
        def answer(connection, _head, _rest):
            connection.sendall(b"".join(pieces))
            return keep
        self.answer = answer

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        rest, goes_on = b"", True
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        with connection:
            try:
                while goes_on:
                    while b"\r\n\r\n" not in rest:
                        data = connection.recv(65536)
                        if not data:
                            return
                        rest += data
                    head, rest = rest.split(b"\r\n\r\n", 1)
                    self.heads.append(head.decode("latin-1"))
                    goes_on, rest = self.answer(connection, head, rest), b""
            except OSError:
                return

    def stop(self):
        self.listener.close()
