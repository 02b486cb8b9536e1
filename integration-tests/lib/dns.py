"""A DNS server that says what a test wants, on one port of 127.0.0.1, over UDP and TCP."""
import ipaddress
import socketserver
import struct
import threading

from .process import free_port

A, AAAA = 1, 28


class Dns:
    """`names["backend.test"] = ["127.0.0.1", "::1"]`; all with `ttl` seconds. `mode`: "answer", "silent", "servfail",
    "garbage", or "truncate" (over UDP only, so that the asker comes again over TCP)."""

    def __init__(self):
        self.names, self.ttl, self.mode, self.asked, self.asked_tcp = {}, 1, "answer", 0, 0
        dns = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self):
                message, sock = self.request
                dns.asked += 1
                if answer := dns.answer(message, dns.mode):
                    sock.sendto(answer, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self):
                while len(size := self.rfile.read(2)) == 2:
                    dns.asked_tcp += 1
                    answer = dns.answer(self.rfile.read(struct.unpack("!H", size)[0]), dns.mode.replace("truncate", "answer"))
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)

        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.udp = socketserver.ThreadingUDPServer(("127.0.0.1", port), Udp)
        self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", port), Tcp)
        for server in (self.udp, self.tcp):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()

    def answer(self, message, mode):
        labels, at = [], 12
        while size := message[at]:
            labels.append(message[at + 1:at + 1 + size].decode("latin-1"))
            at += size + 1
        question, kind = message[12:at + 5], struct.unpack("!H", message[at + 1:at + 3])[0]
        addresses = self.names.get(".".join(labels).lower())
        records = b"".join(self.records(addresses or [], kind)) if mode == "answer" else b""
        flags = {"servfail": 0x8182, "truncate": 0x8380}.get(mode, 0x8180 if addresses is not None else 0x8183)
        count = records.count(b"\xc0\x0c") if mode != "garbage" else 7
        head = message[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0)
        return {"silent": None, "garbage": head + question + b"\xc0\xff\0\1noise"}.get(mode, head + question + records)

    def records(self, addresses, kind):
        for address in map(ipaddress.ip_address, addresses):
            if kind == (A if address.version == 4 else AAAA):
                yield struct.pack("!HHHIH", 0xc00c, kind, 1, self.ttl, len(address.packed)) + address.packed
