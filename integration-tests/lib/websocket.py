"""WebSocket: python's `websockets` as server and client, and its frames by hand."""
import asyncio
import base64
import contextlib
import hashlib
import json
import re
import ssl
import threading

import websockets
from websockets.legacy.server import serve

from .http1 import Connection

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCHED = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n").encode()


def accept_of(head):
    """The proof for the key of a handshake (RFC 6455 4.2.2)."""
    key = re.search(rb"(?i)\r\nsec-websocket-key: *([^\r]+)", head).group(1)
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def ask(host, path="/", *lines):
    """The head of a handshake."""
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket",
                        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}", *lines, "", ""])


def switch(port, host, path="/"):
    """A connection by hand whose handshake has been answered by 101."""
    connection = Connection(port)
    answer = connection.send(ask(host, path)).read()
    assert answer.status == 101, answer
    return connection


class EchoServer:
    """Answers every message with itself; the text "close CODE REASON" closes."""

    def __init__(self, pem=None, key=None):
        self.loop, self.sockets = asyncio.new_event_loop(), set()
        context = None
        if pem:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem, key)
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = asyncio.run_coroutine_threadsafe(self.open(context), self.loop).result(20)
        self.port = self.server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    async def open(self, context):
        return await serve(self.talk, "127.0.0.1", 0, ssl=context, subprotocols=["chat"], max_size=None)

    async def talk(self, socket):
        self.sockets.add(socket)
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in socket:
                words = message.split(" ") if isinstance(message, str) else [""]
                if words[0] == "close":
                    await socket.close(int(words[1]), words[2])
                else:
                    await socket.send(message)
        self.sockets.discard(socket)

    def stop(self):
        self.loop.call_soon_threadsafe(self.server.close)
        asyncio.run_coroutine_threadsafe(self.server.wait_closed(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)


def publish(gateway, backend, name="g/a", **more):
    """All below "/" of the group goes to the backend."""
    gateway.group(name.split("/")[0])
    gateway.publish(gateway.api(name, "/", match="PREFIX", backend={"http": {"address": backend.address, **more}}))
    return gateway


def open_now(gateway):
    return gateway.agent.metric("penstock_agent_tunnels")


def ended(gateway):
    """Lines of the access log: of tunnels that have ended, whose callers spoke HTTP/1.1."""
    return [line for line in map(json.loads, gateway.agent.access_log.read_text().splitlines()) if line["status"] == 101]


def connect(gateway, path="/", **options):
    """For `async with`: python's client through the agent."""
    return websockets.connect(f"ws://{gateway.host}{path}", host="127.0.0.1", port=gateway.agent.port, max_size=None,
                              **options)


class Client:
    """The same for scenarios that do other things meanwhile: each call waits for its end."""

    def __init__(self, gateway, path="/"):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.socket = self.run(self.open(gateway, path))

    @staticmethod
    async def open(gateway, path):
        return await connect(gateway, path)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def echo(self, message):
        async def there_and_back():
            await self.socket.send(message)
            return await self.socket.recv()
        return self.run(there_and_back())

    def close(self):
        self.run(self.socket.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
