"""A caller of TLS that goes step by step, over a socket that only it reads and writes."""
import socket
import ssl


class Steps:
    def __init__(self, port, context, name):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.hello = self.outgoing.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def step(self, act):
        """Until it needs nothing more to be said or heard."""
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("the connection has ended") from None
                self.incoming.write(data)
            finally:
                self.socket.sendall(self.outgoing.read())

    def say(self, part):
        """So much of the first message, of 1."""
        count = int(len(self.hello) * part)
        self.socket.sendall(self.hello[:count])
        self.hello = self.hello[count:]

    def shake_hands(self):
        self.say(1)
        self.step(self.tls.do_handshake)

    def sendall(self, data):
        self.step(lambda: self.tls.write(data))

    def recv(self, most):
        try:
            return self.step(lambda: self.tls.read(most))
        except ConnectionError:
            return b""

    def read(self, count):
        """As a file does."""
        data = b""
        while len(data) < count:
            piece = self.recv(count - len(data))
            if not piece:
                break
            data += piece
        return data

    def makefile(self, _mode):
        return self

    def close(self):
        self.socket.close()
