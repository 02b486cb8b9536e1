"""The management API as a foreign client finds it: by server reflection, without our protos."""
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from .admin import Refusal
from .process import PATIENCE


class Reflected:
    """reflected("penstock.admin.v1.BundleService", "Export", {...}): JSON in, JSON out."""

    def __init__(self, stubs, address):
        self.stubs, self.pool, self.known = stubs, descriptor_pool.DescriptorPool(), set()
        self.channel = grpc.insecure_channel(address)

    def close(self):
        self.channel.close()

    def ask(self, **question):
        pb = self.stubs.module("reflection_v1")
        stream = self.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                            pb.ServerReflectionRequest.SerializeToString,
                                            pb.ServerReflectionResponse.FromString)
        return next(stream(iter([pb.ServerReflectionRequest(**question)]), timeout=20 * PATIENCE))

    def add_file(self, **question):
        for data in self.ask(**question).file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self.known:
                continue
            self.known.add(file.name)
            for name in file.dependency:
                self.add_file(file_by_filename=name)
            self.pool.Add(file)

    def call(self, service, name, request):
        self.add_file(file_containing_symbol=service)
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        factory = message_factory.MessageFactory(self.pool)
        ask, reply = factory.GetPrototype(method.input_type), factory.GetPrototype(method.output_type)
        call = self.channel.unary_unary(f"/{service}/{name}", ask.SerializeToString, reply.FromString)
        answer = call(json_format.ParseDict(request, ask(), descriptor_pool=self.pool), timeout=60 * PATIENCE)
        return json_format.MessageToDict(answer, descriptor_pool=self.pool)

    def __call__(self, service, name, request):
        """The answer, or a Refusal."""
        try:
            return self.call(service, name, request)
        except grpc.RpcError as error:
            return Refusal(self.stubs, error)
