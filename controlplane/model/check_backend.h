/* SPDX-License-Identifier: Apache-2.0 */
/* Where an API's requests go: by address, through a channel, or answered by the gateway. Pure. */
#ifndef CP_MODEL_CHECK_BACKEND_H
#define CP_MODEL_CHECK_BACKEND_H

#include "common/arena.h"
#include "common/error.h"
#include "controlplane/model/check_path.h"
#include "controlplane/model/types.h"

#define CP_BACKEND_TIMEOUT_DEFAULT_MS 5000
#define CP_GRPC_TIMEOUT_DEFAULT_MS 60000
#define CP_BACKEND_TIMEOUT_MAX_MS 600000
#define CP_BACKEND_RETRIES_MAX 10
#define CP_BACKEND_ADDRESS_MAX 255 /* bytes */
#define CP_MOCK_BODY_MAX 65535     /* bytes */
#define CP_MOCK_HEADERS_MAX 10
#define CP_HEADER_NAME_MAX 128   /* bytes */
#define CP_HEADER_VALUE_MAX 1024 /* bytes */

/* Writes the defaults into what is unset. */
void cp_fill_backend(struct gw_arena *arena, cp_backend *backend);
/* Adds its violations, under "backend."; unset fields are good where there is a default.
 * inserts: NULL when the frontend's path is not good itself. */
void cp_check_backend(const cp_backend *backend, const struct cp_inserts *inserts,
                      struct gw_error *err);
/* What frames a message is the gateway's to say: Connection, Content-Length and so on. */
bool cp_is_framing_header(gw_str name);
/* What a backend refers to; NULL: nothing of the kind. backend may be NULL. */
struct cp_backend_uses {
    const char *channel, *certificate; /* names */
};
struct cp_backend_uses cp_backend_uses(const cp_backend *backend);
/* "host", "host:port", "[v6]" or "[v6]:port", the port from 1. */
bool cp_is_authority(gw_str text);

#endif
