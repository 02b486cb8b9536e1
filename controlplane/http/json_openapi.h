/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI 3.0 description of the JSON form: made of the routes, the protos' descriptors and
 * their comments. */
#ifndef CP_HTTP_JSON_OPENAPI_H
#define CP_HTTP_JSON_OPENAPI_H

#include "common/buf.h"
#include "controlplane/http/json_routes.h"

#define CP_JSON_OPENAPI_PATH "/openapi.json"

/* Appends; out has no limit. works: whether a method does in this version, what does not is left
 * out; NULL: all do. */
void cp_json_openapi_write(struct gw_buf *out, const struct cp_json_routes *routes,
                           const struct gw_comments *comments,
                           bool (*works)(const struct gw_rpc_method *method));

#endif
