/* SPDX-License-Identifier: Apache-2.0 */
/* One transaction in the making: what has been read and must not have changed meanwhile, and what
 * is written. Every write of a service goes through cp_write, which tries again when somebody was
 * faster.
 *
 * References are kept honest without locks (README.md): who refers puts the guard of what it refers
 * to, in the transaction that also wants it to exist; who deletes wants the guard to be as it was
 * before the referrers were looked for. */
#ifndef CP_SERVICE_CHANGE_H
#define CP_SERVICE_CHANGE_H

#include "controlplane/model/names.h"
#include "controlplane/service/read.h"

#define CP_WRITE_TRIES 10 /* then ABORTED */
#define CP_REFERRERS_NAMED_MAX 3
#define CP_REFERRERS_READ_MAX 30 /* at least, to find those that the caller may see */
#define CP_TOO_LARGE "TOO_LARGE" /* reason: it does not fit into a transaction */
#define CP_CHANGE_OPS_MAX (CP_STORE_OPS_MAX - 1) /* the last one is the audit event */
#define CP_CHANGE_OPS_ROUND 126 /* of a delete that goes in rounds, each of which is soon done */

struct cp_change {
    struct gw_arena *arena; /* borrowed: of the call */
    struct cp_compare *compares;
    struct cp_op *ops;
    size_t compare_count, op_count, compare_room, op_room;
    bool overflow; /* more than a transaction holds: told by cp_write */
};

/* ---- parts of a transaction; a key that is there already is not added twice */

/* *to becomes what *from is, in memory of its own that it keeps: to go back to what was there. */
void cp_change_copy(struct cp_change *to, const struct cp_change *from);
/* The key was read at mod_revision; 0: it was not there. */
void cp_change_expect(struct cp_change *change, gw_str key, int64_t mod_revision);
void cp_change_put(struct cp_change *change, gw_str key, gw_str value);
void cp_change_put_message(struct cp_change *change, gw_str key, const ProtobufCMessage *message);
void cp_change_delete(struct cp_change *change, gw_str key);

/* `from` (a name) refers to `to` from now on: `to` must exist, and cannot be deleted while the
 * reference is recorded. */
void cp_change_refer(struct cp_change *change, enum cp_kind_id from_kind, const char *from,
                     enum cp_kind_id to_kind, const char *to);
void cp_change_unrefer(struct cp_change *change, enum cp_kind_id from_kind, const char *from,
                       enum cp_kind_id to_kind, const char *to);
/* `parent` must exist, and whoever deletes it will see the new child. */
void cp_change_under(struct cp_change *change, enum cp_kind_id parent_kind, const char *parent);
/* From here on whoever comes to refer to it makes the change fail: before looking for referrers. */
GW_MUST_CHECK int cp_change_guard(const struct cp_call *call, struct cp_change *change,
                                  enum cp_kind_id kind, const char *name, struct gw_error *err);
/* Deletes the resource and its guard, unless something under or with a reference to it comes in
 * meanwhile: call it before looking for such things. */
GW_MUST_CHECK int cp_change_remove(const struct cp_call *call, struct cp_change *change,
                                   enum cp_kind_id kind, const char *name, int64_t mod_revision,
                                   struct gw_error *err);
/* FAILED_PRECONDITION when anything but the kind `except` (CP_KIND_COUNT: none) refers to it,
 * naming some of that which the caller may see. */
GW_MUST_CHECK int cp_refuse_referred(const struct cp_call *call, enum cp_kind_id except,
                                     enum cp_kind_id kind, const char *name, struct gw_error *err);

/* Of the kind `from_kind` what refers to it, at most `limit`: the page's values are their names. */
GW_MUST_CHECK int cp_referrers(const struct cp_call *call, enum cp_kind_id from_kind,
                               enum cp_kind_id kind, const char *name, size_t limit,
                               struct cp_page *ret_page, struct gw_error *err);

/* All of them, page by page; visit returns -1 with err to stop. */
typedef int cp_visit_name(void *arg, const char *name, struct gw_error *err);
/* What refers to any resource of the kind under that parent. */
GW_MUST_CHECK int cp_each_referrer_below(const struct cp_call *call, enum cp_kind_id kind,
                                         const char *parent, cp_visit_name *visit, void *arg,
                                         struct gw_error *err);
GW_MUST_CHECK int cp_each_referrer(const struct cp_call *call, enum cp_kind_id from_kind,
                                   enum cp_kind_id kind, const char *name, cp_visit_name *visit,
                                   void *arg, struct gw_error *err);

/* A value that only one resource may have: takes it for `owner`, a name. ALREADY_EXISTS, naming the
 * owner if the caller may see it, when another one has it. index: "domains"; value: any text, at
 * most 400 bytes. */
GW_MUST_CHECK int cp_change_claim(const struct cp_call *call, struct cp_change *change,
                                  const char *index, gw_str value, const char *owner,
                                  struct gw_error *err);
void cp_change_release(struct cp_change *change, const char *index, gw_str value);
/* The key of a claim. */
gw_str cp_change_claim_key(struct gw_arena *arena, const char *index, gw_str value);
/* Who has it, in the call's arena; NULL: nobody. */
GW_MUST_CHECK int cp_claimed_by(const struct cp_call *call, const char *index, gw_str value,
                                const char **ret_owner, struct gw_error *err);

/* ---- running it */

/* Reads, decides, and fills the change; it may run several times, each time with an empty change.
 * -1 with err ends the write. */
typedef int cp_attempt(const struct cp_call *call, struct cp_change *change, void *arg,
                       struct gw_error *err);
/* Runs attempt and commits. validate_only: nothing is written. A change without operations is not
 * written either: *ret_at is then {0, 0}. ret_at may be NULL. ABORTED: others were faster
 * CP_WRITE_TRIES times. */
GW_MUST_CHECK int cp_write(const struct cp_call *call, bool validate_only, cp_attempt *attempt,
                           void *arg, struct cp_position *ret_at, struct gw_error *err);

#endif
