/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: Create, Update and Delete. */
#include "common/message.h"
#include "controlplane/model/check.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/limits.h"
#include "controlplane/service/resource.h"

/* One write, over all its tries. */
struct job {
    const struct cp_resource_rules *rules;
    const ProtobufCMessage *request;
    ProtobufCMessage *sent; /* the resource in the request */
    const char *name, *parent;
    const char *etag;
    const cp_field_mask *mask;
    const char *managed_by; /* in a bundle; else NULL */
    ProtobufCMessage *result;
    int64_t mod_revision; /* of the result when nothing had to be written; else 0 */
};

static int check(const struct cp_resource_rules *rules, ProtobufCMessage *message,
                 const ProtobufCMessage *before, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    if (rules->check)
        (void)rules->check(message, before, err); /* what it says is in err */
    cp_check_labels(message, err);
    return err->code == GW_OK ? 0 : -1;
}

/* To the form that is stored. */
static int complete(const struct cp_call *call, const struct cp_resource_rules *rules,
                    ProtobufCMessage *message, const ProtobufCMessage *before, struct gw_error *err)
{
    if (rules->fill)
        rules->fill(call->arena, message);
    return rules->seal ? rules->seal(call, message, before, err) : 0;
}

static void set_time(struct gw_arena *arena, ProtobufCMessage *message, const char *field)
{
    if (cp_field(message, field))
        *gw_message_child(message, field) = &cp_now(arena)->base;
}

/* What is written is written: that the store went away since is no reason to say it was not. */
static int finish(const struct cp_call *call, const struct job *job, const struct cp_position *at,
                  ProtobufCMessage **ret_reply, struct gw_error *err)
{
    int64_t revision = at->revision ? at->revision : job->mod_revision;
    if (revision)
        cp_set_etag(call->arena, job->result, revision);
    *ret_reply = job->result;
    if (!job->rules->present || job->rules->present(call, job->result, err) == 0)
        return 0;
    if (at->revision == 0)
        return -1;
    *err = GW_ERROR_NONE;
    return 0;
}

/* In the place of what the label was, or behind the others. */
static void set_label(struct gw_arena *arena, ProtobufCMessage *message, const char *key,
                      const char *value)
{
    const ProtobufCFieldDescriptor *field = cp_field(message, "labels");
    if (!field)
        return;
    size_t *count = gw_message_quantifier(message, field);
    ProtobufCMessage ***labels = gw_message_at(message, field);
    ProtobufCMessage **all = GW_ARENA_ARRAY(arena, ProtobufCMessage *, *count + 1), *label = NULL;
    for (size_t i = 0; i < *count; i++) {
        all[i] = (*labels)[i];
        if (strcmp(gw_message_text(all[i], "key"), key) == 0)
            label = all[i] = gw_message_copy(arena, all[i]);
    }
    if (!label)
        label = all[(*count)++] = gw_message_new(arena, field->descriptor);
    gw_message_set_text(label, "key", gw_arena_strdup(arena, key));
    gw_message_set_text(label, "value", gw_arena_strdup(arena, value));
    *labels = all;
}

/* ---- create */

static const char *id_of(const struct cp_call *call, const struct job *job, struct gw_error *err)
{
    const char *field = gw_arena_printf(call->arena, "%s_id", job->rules->field).ptr;
    const char *id = gw_message_text(job->request, field);
    if (!*id && job->rules->make_id)
        id = job->rules->make_id(call->arena, job->sent, err);
    if (!id || cp_id_check(job->rules->kind, id, field, err) < 0)
        return NULL;
    return id;
}

static int find_name(const struct cp_call *call, struct job *job, struct gw_error *err)
{
    enum cp_kind_id parent_kind;
    struct cp_ids ids = {.count = 0};
    job->parent = cp_text_field(job->request, "parent");
    if (cp_kind_parent(job->rules->kind, &parent_kind) &&
        (cp_name_check(parent_kind, job->parent, "parent", err) < 0 ||
         !cp_name_parse(parent_kind, gw_str_from(job->parent), &ids)))
        return -1;
    const char *id = id_of(call, job, err);
    if (!id)
        return -1;
    ids.id[ids.count++] = gw_str_from(id);
    job->name = cp_name_make(call->arena, job->rules->kind, &ids).ptr;
    const char *said = gw_message_text(job->sent, "name");
    if (*said && strcmp(said, job->name) != 0)
        return gw_fail_field(err, "name", "must be empty or %s", job->name);
    gw_message_set_text(job->sent, "name", (char *)(uintptr_t)job->name);
    return 0;
}

/* What is sent, to the form that is stored. */
static int finish_new(const struct cp_call *call, const struct job *job, struct gw_error *err)
{
    if (check(job->rules, job->sent, NULL, err) < 0 ||
        complete(call, job->rules, job->sent, NULL, err) < 0)
        return -1;
    set_time(call->arena, job->sent, "create_time");
    set_time(call->arena, job->sent, "update_time");
    return 0;
}

static int attempt_create(const struct cp_call *call, struct cp_change *change, void *arg,
                          struct gw_error *err)
{
    struct job *job = arg;
    const struct cp_resource_rules *rules = job->rules;
    enum cp_kind_id parent_kind;
    struct cp_stored there;
    if (cp_kind_parent(rules->kind, &parent_kind)) {
        if (cp_get(call, parent_kind, job->parent, &there, err) < 0)
            return -1;
        cp_change_under(change, parent_kind, job->parent);
    }
    if (cp_find(call, rules->kind, job->name, &there, err) < 0)
        return -1;
    if (there.message) {
        (void)gw_fail(err, GW_ALREADY_EXISTS, "%s exists", job->name);
        return rules->exists_apig ? gw_error_apig(err, rules->exists_apig) : -1;
    }
    if (rules->max && cp_change_limit(call, change, rules->kind, job->parent, rules->max, err) < 0)
        return -1;
    if (rules->quota &&
        cp_quota_take(call, change, rules->quota, rules->kind, job->parent, err) < 0)
        return -1;
    job->result = gw_message_copy(call->arena, job->sent);
    if (rules->prepare && rules->prepare(call, change, job->result, NULL, err) < 0)
        return -1;
    gw_str key = cp_key_of(call->arena, rules->kind, job->name);
    cp_change_expect(change, key, 0);
    cp_change_put_message(change, key, job->result);
    return 0;
}

static bool violates(const struct gw_error *err, const char *field)
{
    for (unsigned i = 0; i < err->violation_count; i++)
        if (strcmp(err->violations[i].field, field) == 0)
            return true;
    return false;
}

/* A person who has to correct the name should hear of the rest as well. */
static int add_what_else_is_wrong(const struct cp_resource_rules *rules, ProtobufCMessage *message,
                                  struct gw_error *err)
{
    struct gw_error more = GW_ERROR_NONE;
    if (err->violation_count == 0 || check(rules, message, NULL, &more) == 0)
        return -1;
    for (unsigned i = 0; i < more.violation_count; i++)
        if (!violates(err, more.violations[i].field))
            (void)gw_fail_field(err, more.violations[i].field, "%s", more.violations[i].rule);
    return -1;
}

int cp_resource_create(const struct cp_call *call, const struct cp_resource_rules *rules,
                       const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                       struct gw_error *err)
{
    struct cp_position at;
    struct job job = {.rules = rules, .request = request};
    const ProtobufCMessage *sent = cp_message_field(request, rules->field);
    job.sent = sent ? gw_message_copy(call->arena, sent)
                    : gw_message_new(call->arena, cp_kind_get(rules->kind)->type);
    cp_clear_output_only(job.sent, rules->output_only);
    if (find_name(call, &job, err) < 0)
        return add_what_else_is_wrong(rules, job.sent, err);
    if (finish_new(call, &job, err) < 0)
        return -1;
    if (cp_write(call, cp_bool_field(request, "validate_only"), attempt_create, &job, &at, err) < 0)
        return -1;
    return finish(call, &job, &at, ret_reply, err);
}

/* ---- update */

/* Applying what is there already changes nothing: no new etag, nothing for agents to do. */
static bool is_same(struct gw_arena *arena, const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    return gw_str_eq(gw_message_pack(arena, a), gw_message_pack(arena, b));
}

/* As if it had been deleted and created in one. */
static int replace(const struct cp_call *call, struct cp_change *change, const struct job *job,
                   const struct cp_stored *before, struct gw_error *err)
{
    const struct cp_resource_rules *rules = job->rules;
    gw_str key = cp_key_of(call->arena, rules->kind, job->name);
    if ((rules->prepare_delete && rules->prepare_delete(call, change, before->message, err) < 0) ||
        (rules->prepare && rules->prepare(call, change, job->result, NULL, err) < 0))
        return -1;
    cp_change_put_message(change, key, job->result);
    return 0;
}

static int attempt_update(const struct cp_call *call, struct cp_change *change, void *arg,
                          struct gw_error *err)
{
    struct job *job = arg;
    const struct cp_resource_rules *rules = job->rules;
    struct cp_stored before;
    if (cp_get(call, rules->kind, job->name, &before, err) < 0 ||
        cp_check_etag(job->etag, before.mod_revision, job->name, err) < 0)
        return -1;
    job->result = gw_message_copy(call->arena, before.message);
    if (cp_apply_mask(job->result, job->sent, job->mask, rules->output_only, err) < 0)
        return -1;
    if (job->managed_by)
        set_label(call->arena, job->result, CP_MANAGED_BY, job->managed_by);
    if (check(rules, job->result, before.message, err) < 0 ||
        complete(call, rules, job->result, before.message, err) < 0)
        return -1;
    job->mod_revision = before.mod_revision;
    gw_str key = cp_key_of(call->arena, rules->kind, job->name);
    cp_change_expect(change, key, before.mod_revision); /* also for what else is in a bundle */
    if (is_same(call->arena, job->result, before.message))
        return 0;
    set_time(call->arena, job->result, "update_time");
    if (rules->is_replaced)
        return replace(call, change, job, &before, err);
    if (rules->prepare && rules->prepare(call, change, job->result, before.message, err) < 0)
        return -1;
    cp_change_put_message(change, key, job->result);
    return 0;
}

int cp_resource_update(const struct cp_call *call, const struct cp_resource_rules *rules,
                       const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                       struct gw_error *err)
{
    struct cp_position at;
    struct job job = {.rules = rules, .request = request};
    job.sent = cp_message_field(request, rules->field);
    if (!job.sent)
        return gw_fail_field(err, rules->field, "must be set");
    job.name = gw_message_text(job.sent, "name");
    job.etag = cp_text_field(job.sent, "etag");
    job.mask = (const cp_field_mask *)cp_message_field(request, "update_mask");
    if (cp_name_check(rules->kind, job.name, "name", err) < 0 ||
        cp_write(call, cp_bool_field(request, "validate_only"), attempt_update, &job, &at, err) < 0)
        return -1;
    return finish(call, &job, &at, ret_reply, err);
}

/* ---- delete */

static int attempt_delete(const struct cp_call *call, struct cp_change *change, void *arg,
                          struct gw_error *err)
{
    const struct job *job = arg;
    const struct cp_resource_rules *rules = job->rules;
    struct cp_stored before;
    if (cp_get(call, rules->kind, job->name, &before, err) < 0 ||
        cp_check_etag(job->etag, before.mod_revision, job->name, err) < 0 ||
        cp_change_remove(call, change, rules->kind, job->name, before.mod_revision, err) < 0)
        return -1;
    if (cp_refuse_referred(call, CP_KIND_COUNT, rules->kind, job->name, err) < 0) {
        bool is_in_use = err->code == GW_FAILED_PRECONDITION && rules->in_use_apig;
        return is_in_use ? gw_error_apig(err, rules->in_use_apig) : -1;
    }
    return rules->prepare_delete ? rules->prepare_delete(call, change, before.message, err) : 0;
}

int cp_resource_delete(const struct cp_call *call, const struct cp_resource_rules *rules,
                       const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                       struct gw_error *err)
{
    struct job job = {.rules = rules, .request = request};
    job.name = gw_message_text(request, "name");
    job.etag = cp_text_field(request, "etag");
    if (cp_name_check(rules->kind, job.name, "name", err) < 0 ||
        cp_write(call, cp_bool_field(request, "validate_only"), attempt_delete, &job, NULL, err) <
            0)
        return -1;
    *ret_reply = gw_message_new(call->arena, &google__protobuf__empty__descriptor);
    return 0;
}

/* ---- several at once */

static int put_new(const struct cp_call *call, struct cp_change *change, struct job *job,
                   struct gw_error *err)
{
    job->parent = gw_arena_dup(call->arena, cp_name_parent(gw_str_from(job->name))).ptr;
    cp_clear_output_only(job->sent, job->rules->output_only);
    if (job->managed_by)
        set_label(call->arena, job->sent, CP_MANAGED_BY, job->managed_by);
    return finish_new(call, job, err) < 0 ? -1 : attempt_create(call, change, job, err);
}

int cp_resource_put(const struct cp_call *call, struct cp_change *change,
                    const struct cp_resource_rules *rules, struct cp_put *put, struct gw_error *err)
{
    struct cp_stored before;
    struct job job = {.rules = rules, .mask = put->mask};
    job.sent = gw_message_copy(call->arena, put->sent); /* there may be another try */
    job.name = gw_message_text(job.sent, "name");
    job.etag = gw_arena_strdup(call->arena, cp_text_field(job.sent, "etag"));
    job.managed_by = *put->managed_by ? put->managed_by : NULL;
    if (cp_name_check(rules->kind, job.name, "name", err) < 0)
        return add_what_else_is_wrong(rules, job.sent, err);
    if (cp_find(call, rules->kind, job.name, &before, err) < 0)
        return -1;
    if (!before.message && *job.etag) {
        (void)gw_fail(err, GW_ABORTED, "%s does not exist, its etag cannot be %.40s", job.name,
                      job.etag);
        return gw_error_reason(err, "ETAG_MISMATCH");
    }
    if ((before.message ? attempt_update(call, change, &job, err)
                        : put_new(call, change, &job, err)) < 0)
        return -1;
    put->before = before.message;
    put->after = job.result;
    put->mod_revision = before.mod_revision;
    put->is_same = before.message && is_same(call->arena, before.message, job.result);
    return 0;
}

int cp_resource_remove(const struct cp_call *call, struct cp_change *change,
                       const struct cp_resource_rules *rules, const char *name, const char *etag,
                       struct gw_error *err)
{
    struct job job = {.rules = rules, .name = name, .etag = etag};
    return rules->remove ? rules->remove(call, change, name, etag, err)
                         : attempt_delete(call, change, &job, err);
}
