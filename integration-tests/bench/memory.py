"""Memory of contenders that have nothing to do, and of the connections that they hold open."""
import socket
import ssl

import progress
from load import one_round
from peers import HOST
from processes import memory_kib

REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def open_connections(port, count, tls):
    """Each has made one request, and is kept."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opened = []
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 10)
        if tls:
            connection = context.wrap_socket(connection, server_hostname=HOST)
        connection.sendall(REQUEST)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        opened.append(connection)
        if number % 1000 == 999:
            progress.say(f"{number + 1} connections")
    progress.end()
    return opened


def measure(contenders, work, count):
    print(f"\nmemory, proportional (PSS): idle, and each of {count:,} idle {'TLS 1.3' if work.tls else 'HTTP/1.1'} connections")
    print(f"{'':<14}{'idle MiB':>10}{'KiB each':>10}")
    for contender in contenders:
        for connection in open_connections(contender.port, 10, work.tls):
            connection.close()
        before = memory_kib(contender)
        opened = open_connections(contender.port, min(count, getattr(contender, "CONNECTIONS_MAX", count)), work.tls)
        each = (memory_kib(contender) - before) / len(opened)
        for connection in opened:
            connection.close()
        print(f"{contender.title:<14}{before / 1024:>10.1f}{each:>10.2f}", flush=True)


SETTLED = 100_000  # requests after which memory should stand still


def soak(contender, work, requests, folder):
    """Memory after the first 100,000 requests, and after all of them: it should be the same."""
    done, settled = 0, None
    while done < requests:
        done += one_round(contender, work, 2, folder)
        if settled is None and done >= SETTLED:
            settled = (done, memory_kib(contender))
        progress.say(f"soak: {done:,} requests")
    progress.end()
    print(f"\nsoak: {contender.title} has {settled[1] / 1024:.2f} MiB after {settled[0]:,} requests, "
          f"{memory_kib(contender) / 1024:.2f} MiB after {done:,}", flush=True)
