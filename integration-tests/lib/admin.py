"""The management API as python grpcio sees it, with stubs that protoc generates from the protos."""
import importlib
import subprocess
import sys

import grpc
from google.protobuf import descriptor_pb2

from .process import PATIENCE, ROOT

GRPC_PROTOS = "/usr/share/grpc-proto"  # health and reflection, as the gRPC project publishes them


class Stubs:
    """Generated modules, and every method of the API that answers once, by its name."""

    def __init__(self, folder):
        own = [str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").glob("penstock/admin/v1/*.proto")]
        self.generate(folder, f"{ROOT}/proto", [*own, "penstock/agent/v1/agent.proto", "google/rpc/status.proto",
                                                   "google/rpc/error_details.proto"])
        # Not under the name "grpc", which is the library's.
        self.generate(folder, f"{GRPC_PROTOS}/grpc/health/v1", ["health.proto"])
        for version in ("v1", "v1alpha"):
            (folder / f"reflection_{version}.proto").write_text(
                open(f"{GRPC_PROTOS}/grpc/reflection/{version}/reflection.proto", encoding="utf8").read())
        self.generate(folder, str(folder), ["reflection_v1.proto", "reflection_v1alpha.proto"])
        sys.path.insert(0, str(folder))
        self.services, self.methods = {}, {}
        for path in own:
            module = self.module(path[:-len(".proto")].replace("/", "."))
            for service in module.DESCRIPTOR.services_by_name.values():
                proto = descriptor_pb2.ServiceDescriptorProto()
                service.CopyToProto(proto)
                unary = {method.name for method in proto.method if not method.server_streaming}
                self.services[service.full_name] = [method.name for method in service.methods if method.name in unary]
                self.methods.update({method.name: method for method in service.methods if method.name in unary})

    @staticmethod
    def generate(folder, root, protos):
        subprocess.run(["protoc", f"-I{root}", "-I/usr/include", f"--python_out={folder}", f"--grpc_out={folder}",
                        "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *protos], check=True)

    @staticmethod
    def module(name):
        return importlib.import_module(f"{name}_pb2")

    @classmethod
    def message(cls, descriptor):
        """The class of a message."""
        return getattr(cls.module(descriptor.file.name[:-len(".proto")].replace("/", ".")), descriptor.name)

    def __call__(self, name):
        return importlib.import_module(name)


class Refusal:
    """What a call was refused with: code, message, and the details of google.rpc.Status."""

    def __init__(self, stubs, error):
        self.code, self.message, self.error = error.code().name, error.details(), error
        self.reason, self.apig, self.fields = None, None, {}
        packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        status = stubs.module("google.rpc.status").Status.FromString(packed or b"")
        details = stubs.module("google.rpc.error_details")
        for detail in status.details:
            if detail.type_url == "type.googleapis.com/google.rpc.ErrorInfo":
                info = details.ErrorInfo.FromString(detail.value)
                self.reason, self.apig = info.reason, dict((e.key, e.value) for e in info.metadata).get("apig_code")
            elif detail.type_url == "type.googleapis.com/google.rpc.BadRequest":
                for violation in details.BadRequest.FromString(detail.value).field_violations:
                    self.fields[violation.field] = violation.description
        if packed:
            assert (status.code, status.message) == (error.code().value[0], error.details())

    def __repr__(self):
        return f"<{self.code} {self.message} {self.reason} {self.apig} {self.fields}>"


class Admin:
    """admin.CreateApiGroup(group_id="g") calls; admin.refused("CreateApiGroup", ...) must fail."""

    def __init__(self, stubs, channel):
        self.stubs, self.channel = stubs, channel

    def close(self):
        self.channel.close()

    def method(self, name):
        method = self.stubs.methods[name]
        request, reply = self.stubs.message(method.input_type), self.stubs.message(method.output_type)
        return request, self.channel.unary_unary(f"/{method.containing_service.full_name}/{name}",
                                                 request.SerializeToString, reply.FromString)

    def __getattr__(self, name):
        request, call = self.method(name)
        return lambda **fields: call(request(**fields), timeout=20 * PATIENCE)

    def future(self, name, /, **fields):
        request, call = self.method(name)
        return call.future(request(**fields), timeout=60 * PATIENCE)

    def refused(self, name, /, **fields):
        try:
            answer = getattr(self, name)(**fields)
        except grpc.RpcError as error:
            return Refusal(self.stubs, error)
        raise AssertionError(f"{name} {fields} was not refused: {answer}")

    def raw(self, path, data, **options):
        """Bytes as they are; the answer's, or a Refusal."""
        try:
            return self.channel.unary_unary(path)(data, timeout=20 * PATIENCE, **options)
        except grpc.RpcError as error:
            return Refusal(self.stubs, error)
