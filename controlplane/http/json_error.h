/* SPDX-License-Identifier: Apache-2.0 */
/* google.rpc.Status in JSON, as AIP-193 has it over HTTP: {"error": {code, message, status,
 * details}}, the code being that of HTTP; the details are those of gRPC. */
#ifndef CP_HTTP_JSON_ERROR_H
#define CP_HTTP_JSON_ERROR_H

#include "common/buf.h"
#include "common/error.h"

/* Appends; the status of HTTP is usually gw_code_to_http(err->code). */
void cp_json_error_write(struct gw_buf *out, const struct gw_error *err, unsigned status);

#endif
