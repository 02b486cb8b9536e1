/* SPDX-License-Identifier: Apache-2.0 */
/* Audit events: the filters of the command line, and CSV. */
#ifndef CP_CTL_AUDIT_H
#define CP_CTL_AUDIT_H

#include "controlplane/ctl/call.h"

#define CP_CTL_EVENTS_DEFAULT 1000 /* listed when --limit says nothing */
#define CP_CTL_CSV_ROWS_MAX 5000

bool cp_is_audit(const struct cp_ctl_kind *kind);
/* A watch takes none of these. */
GW_MUST_CHECK int cp_check_watch(const struct cp_session *session, struct gw_error *err);
/* Into a ListAuditEventsRequest; for other kinds none may be given: a mistake in the command line.
 */
GW_MUST_CHECK int cp_set_filters(struct cp_session *session, const struct cp_ctl_kind *kind,
                                 ProtobufCMessage *request, struct gw_error *err);
/* -o csv: prints the newest events, as the server writes them. */
GW_MUST_CHECK int cp_print_csv(struct cp_session *session, const struct cp_ctl_kind *kind,
                               const char *typed, struct gw_error *err);

#endif
