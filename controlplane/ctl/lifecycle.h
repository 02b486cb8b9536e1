/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands about an API's life share. */
#ifndef CP_CTL_LIFECYCLE_H
#define CP_CTL_LIFECYCLE_H

#include "controlplane/ctl/call.h"

/* The API's whole name for what was typed; a mistake is one of usage. */
GW_MUST_CHECK int cp_api_name(struct cp_session *session, const char *typed, gw_str *ret_name,
                              struct gw_error *err);
/* "environments/X" for --env, or for the fallback without it; NULL: neither. */
char *cp_environment_name(struct cp_session *session, const char *fallback);
/* The release of that number of the API, in --env or RELEASE. */
gw_str cp_release_of(struct cp_session *session, gw_str api, int64_t number);
/* A method of ApiService. */
GW_MUST_CHECK int cp_call_api(struct cp_session *session, const char *method,
                              const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                              struct gw_error *err);

#endif
