"""In the place of a control plane: it tells agents what a scenario says, message by message (agent.proto)."""
import queue
import threading
from concurrent import futures

import grpc

from .process import free_port
from .wait import until


def certificate(name, issued, authority=None):
    """A resource: what was issued, and the authority that others must be of."""
    return {"certificate": {"name": f"certificates/{name}", "certificate_pem": issued.cert.read_text(),
                            "private_key_pem": issued.key.read_text(),
                            "ca_pem": authority.ca.read_text() if authority else ""}}


class Feeder:
    def __init__(self, stubs):
        """stubs: lib.admin.Stubs."""
        self.pb = stubs.module("penstock.agent.v1.agent")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.revision, self.resources, self.acks, self.streams, self.replies = 0, [], {}, [], {}
        self.lock = threading.Lock()
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        handler = grpc.stream_stream_rpc_method_handler(
            self.stream, self.pb.AgentMessage.FromString, self.pb.ControlMessage.SerializeToString)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "penstock.agent.v1.AgentService", {"Stream": handler}),))
        self.server.add_insecure_port(self.address)
        self.server.start()

    def stop(self):
        for stream in self.streams:
            stream.put(None)
        self.server.stop(0)

    def stream(self, messages, _context):
        hello = next(messages).hello
        mine = queue.Queue()

        def listen():
            try:
                for message in messages:
                    if message.HasField("ack"):
                        self.acks[hello.agent_id] = message.ack
                    elif message.HasField("debug_reply"):
                        self.replies[message.debug_reply.id] = message.debug_reply
            except grpc.RpcError:
                pass
        threading.Thread(target=listen, daemon=True).start()
        with self.lock:
            self.streams.append(mine)
            if self.revision:
                mine.put(self.pb.ControlMessage(update=self.update()))
        while (message := mine.get()) is not None:
            yield message

    def update(self):
        return self.pb.Update(cluster_id="c", revision=self.revision, upserts=self.resources, final=True)

    def prepare(self, *resources):
        """For agents that are to connect."""
        self.revision += 1
        self.resources = [self.pb.Resource(**resource) for resource in resources]

    def tell(self, *resources):
        """From now on these, as fields of Resource, are all that there is. Waits until every agent serves them; the
        refusals of the last one that answered."""
        with self.lock:
            self.prepare(*resources)
            for stream in self.streams:
                stream.put(self.pb.ControlMessage(update=self.update()))
        until(lambda: self.acks and all(ack.revision == self.revision for ack in self.acks.values()),
              f"agents to apply revision {self.revision}")
        return [(refusal.resource.name, refusal.reason) for ack in self.acks.values() for refusal in ack.refusals]

    def ask(self, request, *resources, https=False, timeout_ms=20000, number=None):
        """Lets the one agent call itself; its reply when it has come, or at once the number to wait for."""
        number = number or len(self.replies) + 1
        call = self.pb.DebugCall(id=number, request=request, https=https, timeout_ms=timeout_ms,
                                 resources=[self.pb.Resource(**resource) for resource in resources])
        self.streams[-1].put(self.pb.ControlMessage(debug_call=call))
        return until(lambda: self.replies.get(number), f"the reply to debug call {number}")
