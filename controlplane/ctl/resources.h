/* SPDX-License-Identifier: Apache-2.0 */
/* Resources of files, one by one. */
#ifndef CP_CTL_RESOURCES_H
#define CP_CTL_RESOURCES_H

#include "controlplane/ctl/call.h"
#include "controlplane/ctl/documents.h"

/* Creates or updates one, and says so. */
GW_MUST_CHECK int cp_apply_document(struct cp_session *session, const struct cp_document *document,
                                    struct gw_error *err);
/* Where the error that follows is; -1. */
int cp_say_where(const struct cp_document *document, size_t left);
/* Of a variable: the APIs of which the effective release holds another value. */
void cp_print_stale(const ProtobufCMessage *resource);

#endif
