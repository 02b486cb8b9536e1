"""An agent that only listens: what a control plane tells agents, resource by resource."""
import queue
import threading

import grpc

KINDS = ("group", "route", "channel", "policy", "app", "certificate", "ticket_keys")


class Told:
    def __init__(self, stubs, controlplane, name="listener", kinds=KINDS):
        self.proto = stubs.module("penstock.agent.v1.agent")
        self.resources = {}  # by name, as the agent would serve them now
        self.changes = []  # of each update after the first: the names that were sent or removed
        self.pending, self.updates, self.out = [], 0, queue.Queue()
        hello = self.proto.Hello(agent_id=name, version="0", kinds=kinds)
        self.out.put(self.proto.AgentMessage(hello=hello))
        self.channel = grpc.insecure_channel(controlplane.address, [("grpc.use_local_subchannel_pool", 1)])
        stream = self.channel.stream_stream("/penstock.agent.v1.AgentService/Stream",
                                            self.proto.AgentMessage.SerializeToString, self.proto.ControlMessage.FromString)
        self.call = stream(iter(self.out.get, None))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            for message in self.call:
                self.take(message.update)
        except grpc.RpcError:
            pass  # the control plane went away, or the scenario has ended

    def take(self, chunk):
        self.pending.append(chunk)
        if not chunk.final:
            return
        resources, touched = {} if chunk.base_revision == 0 else dict(self.resources), []
        for part in self.pending:
            for resource in part.upserts:
                kind = resource.WhichOneof("kind")
                resources[getattr(resource, kind).name] = getattr(resource, kind)
                touched.append(getattr(resource, kind).name)
        for part in self.pending:
            for key in part.removals:
                resources.pop(key.name, None)
                touched.append(key.name)
        self.pending, self.resources = [], resources
        if self.updates:
            self.changes.append(touched)
        self.updates += 1
        self.out.put(self.proto.AgentMessage(ack=self.proto.Ack(cluster_id=chunk.cluster_id, revision=chunk.revision)))

    def get(self, name):
        return self.resources.get(name)

    def stop(self):
        self.out.put(None)
        self.call.cancel()
        self.channel.close()
