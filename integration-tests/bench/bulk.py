"""Many APIs through the management API: calls go out side by side over one connection."""
import time

import grpc
import progress

from lib.admin import Admin

AT_ONCE = 32


def side_by_side(what, count, call):
    """call(n) begins number n and gives its future; at most AT_ONCE are under way."""
    told, waiting = time.monotonic(), []
    for n in range(count):
        waiting.append(call(n))
        if len(waiting) >= AT_ONCE:
            waiting.pop(0).result()
        if time.monotonic() - told > 1:
            told = time.monotonic()
            progress.say(f"{what}: {n + 1} of {count}")
    for future in waiting:
        future.result()
    progress.say(f"{what}: {count} of {count}")
    progress.end()


def add_routes(controlplane, stubs, group, count):
    """APIs r0, r1, ... of the group, GET /r0/{id} and so on, answered by a mock, each published."""
    api, service = stubs.module("penstock.admin.v1.api"), stubs.module("penstock.admin.v1.backend")
    admin = Admin(stubs, grpc.insecure_channel(controlplane.address))

    def create(n):
        draft = api.Api(frontend=api.Frontend(protocol="PROTOCOL_HTTP", method="HTTP_METHOD_GET", path=f"/r{n}/{{id}}"),
                        backend=service.Backend(mock=service.MockBackend()),
                        authentication=api.Authentication(type="AUTH_TYPE_NONE"))
        return admin.future("CreateApi", parent=f"groups/{group}", api_id=f"r{n}", api=draft)

    side_by_side("APIs created", count, create)
    side_by_side("APIs published", count, lambda n: admin.future("PublishApi", name=f"groups/{group}/apis/r{n}"))
    admin.close()
