/* SPDX-License-Identifier: Apache-2.0 */
/* The audit trail, as it is written: an event of every management write.
 *
 * The guard around methods (rpc/method.c) begins and ends it; cp_write puts the event of what it
 * writes into the same transaction, so that there is no write without its event, and no event
 * without its write. What is refused is stored afterwards, when the store can be written to; when
 * not, the log has it and a counter says so. What reaches backends (DebugApi) is stored before.
 *
 * Events lie outside of what agents are made of (CP_KEY_ROOT), newest first. */
#ifndef CP_SERVICE_AUDIT_H
#define CP_SERVICE_AUDIT_H

#include "controlplane/service/change.h"

#include "penstock/admin/v1/audit_event.pb-c.h"

#define CP_AUDIT_ROOT "/penstock/audit/events/" /* and the event's id */
#define CP_AUDIT_COLLECTION "auditEvents/"      /* its name, and the event's id */
#define CP_AUDIT_ID_LEN 25                      /* 16 digits of time, "-", 8 random ones */
#define CP_AUDIT_TEXT_MAX (16 * 1024)           /* of the request, of a before, of an after */
#define CP_AUDIT_EVENT_MAX (64 * 1024)          /* of all texts of an event */
#define CP_AUDIT_READS_MAX 4000       /* of one try: what was there before later ones is not told */
#define CP_AUDIT_REFUSALS_MAX 100U    /* stored in a second: anybody who is known can cause them */
#define CP_AUDIT_REFUSALS_EACH_MAX 5U /* of these for one caller */

typedef Penstock__Admin__V1__AuditEvent cp_audit_event;
typedef Penstock__Admin__V1__AuditChange cp_audit_change;

/* cp_recorder.begin and end. */
struct cp_audit *cp_audit_begin(const struct cp_call *call, const char *method, const char *peer,
                                const ProtobufCMessage *request);
void cp_audit_end(const struct cp_call *call, const struct gw_error *err);
extern const struct cp_recorder cp_audit_recorder;

/* Of a call that does the same to many: one of them, which has events of its own; the whole then
 * has one only when it is refused. NULL when the call has none. In the arena. */
struct cp_audit *cp_audit_item(const struct cp_call *call, struct gw_arena *arena,
                               const char *resource);

/* What the call is about, when its request has no field for that. Nothing when it is known. */
void cp_audit_about(const struct cp_call *call, const char *resource);

/* For change.c and read.c; the three do nothing when the call has no audit. */
void cp_audit_start(const struct cp_call *call); /* of a try */
void cp_audit_stop(const struct cp_call *call);
void cp_audit_note(const struct cp_call *call, const struct cp_kv *kv);
/* The event of a change that is about to be committed; the call has an audit. */
GW_MUST_CHECK int cp_audit_event_of(const struct cp_call *call, const struct cp_change *change,
                                    struct cp_op *ret_op, struct gw_error *err);

/* Of a call that writes nothing and has to be known all the same: its event, before it does what it
 * does. Nothing when the call has no audit. */
GW_MUST_CHECK int cp_audit_act(const struct cp_call *call, struct gw_error *err);

/* Ids sort by time, the newest first. Those of refusals are random numbers of CP_AUDIT_REFUSAL. */
#define CP_AUDIT_REFUSAL 0x80000000U
void cp_audit_id(gw_nsec stamp_ns, uint32_t random, char ret_id[CP_AUDIT_ID_LEN + 1]);
bool cp_audit_id_is_refusal(gw_str id);
/* False: it is no id of an event. */
bool cp_audit_id_parse(gw_str id, gw_nsec *ret_stamp_ns);

/* The event of that id in the call's arena; NULL: it is not there. */
GW_MUST_CHECK int cp_audit_find(const struct cp_call *call, gw_str id, cp_audit_event **ret_event,
                                struct gw_error *err);

/* Events of refusals that could not be stored, since the start. Any thread. */
int64_t cp_audit_lost(void);

#endif
