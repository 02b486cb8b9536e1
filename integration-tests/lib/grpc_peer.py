"""A gRPC server and client without protos: messages are bytes, so that a scenario says all of them."""
import threading
from concurrent import futures

import grpc

SERVICE = "test.Peer"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.max_concurrent_streams", 1000), ("grpc.so_reuseport", 0)]


class GrpcServer(grpc.GenericRpcHandler):
    """All four kinds of calls. What was seen of the last one is kept."""

    def __init__(self, threads=16, tls=None, place="127.0.0.1:0"):
        self.waits, self.cancelled, self.metadata, self.remaining = threading.Event(), threading.Event(), {}, None
        self.server = grpc.server(futures.ThreadPoolExecutor(threads), options=OPTIONS)
        self.server.add_generic_rpc_handlers([self])
        if tls:
            keys = grpc.ssl_server_credentials([(tls.key.read_bytes(), tls.cert.read_bytes())])
            self.port = self.server.add_secure_port(place, keys)
        else:
            self.port = self.server.add_insecure_port(place)
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()

    def service(self, details):
        self.metadata = dict(details.invocation_metadata)
        name = details.method.rpartition("/")[2]
        kind = {"Unary": grpc.unary_unary_rpc_method_handler, "Fail": grpc.unary_unary_rpc_method_handler,
                "Wait": grpc.unary_unary_rpc_method_handler, "Many": grpc.unary_stream_rpc_method_handler,
                "Rest": grpc.unary_stream_rpc_method_handler, "Client": grpc.stream_unary_rpc_method_handler,
                "Bidi": grpc.stream_stream_rpc_method_handler}.get(name)
        return kind(getattr(self, name.lower())) if kind else None

    def unary(self, request, context):
        self.remaining = context.time_remaining()
        context.send_initial_metadata([("x-first", "1")])
        context.set_trailing_metadata([("x-last", "2"), ("x-last-bin", b"\0\1\2")])
        return request

    def fail(self, request, context):
        context.set_trailing_metadata([("grpc-status-details-bin", b"\0details")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not so: 50% \u00e9")

    def wait(self, request, context):
        if not context.add_callback(self.cancelled.set):
            self.cancelled.set()  # it is over already
        self.waits.set()
        self.cancelled.wait(20)
        return b""

    def many(self, request, context):
        for number in range(int(request)):
            yield b"%d" % number

    def rest(self, request, context):
        if not context.add_callback(self.cancelled.set):
            self.cancelled.set()  # it is over already
        yield b"first"
        self.cancelled.wait(20)

    def client(self, requests, context):
        return b"%d" % sum(len(request) for request in requests)

    def bidi(self, requests, context):
        for request in requests:
            yield request


def calls(channel):
    """Unary, Server, ... as callables of the channel."""
    kinds = {"Unary": channel.unary_unary, "Fail": channel.unary_unary, "Wait": channel.unary_unary,
             "None": channel.unary_unary, "Many": channel.unary_stream, "Rest": channel.unary_stream,
             "Client": channel.stream_unary, "Bidi": channel.stream_stream}
    return type("Calls", (), {name.lower(): staticmethod(kind(f"/{SERVICE}/{name}")) for name, kind in kinds.items()})
