/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/enrolled.h"

#include "common/map.h"
#include "controlplane/model/agent_certificates.h"
#include "controlplane/model/agent_ids.h"
#include "controlplane/model/names.h"
#include "controlplane/snapshot/scope.h"

#include <pthread.h>
#include <stdlib.h>

struct known {
    struct gw_arena arena; /* of scope */
    gw_str scope;
    char fingerprints[CP_AGENT_CERTIFICATES_MAX][CP_FINGERPRINT_CHARS + 1];
    gw_msec expiry_ms; /* wall clock */
    int64_t mod_revision;
    unsigned generation; /* of the list that had it last */
};

struct cp_enrolled {
    pthread_mutex_t lock;
    struct gw_map agents; /* struct known by id; owned */
    unsigned generation;
    char *authority; /* owned; PEM; NULL: there is none yet */
    uint64_t authority_generation;
    void (*on_change)(void *arg, const char *agent_id);
    void *arg;
};

struct cp_enrolled *cp_enrolled_new(void (*on_change)(void *arg, const char *agent_id), void *arg)
{
    struct cp_enrolled *enrolled = gw_calloc(1, sizeof(*enrolled));
    pthread_mutex_init(&enrolled->lock, NULL);
    gw_map_init(&enrolled->agents);
    enrolled->on_change = on_change;
    enrolled->arg = arg;
    return enrolled;
}

static void known_free(struct known *known)
{
    if (!known)
        return;
    gw_arena_done(&known->arena);
    free(known);
}

void cp_enrolled_free(struct cp_enrolled *enrolled)
{
    if (!enrolled)
        return;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&enrolled->agents, e));)
        known_free(e->value);
    gw_map_done(&enrolled->agents);
    free(enrolled->authority);
    pthread_mutex_destroy(&enrolled->lock);
    free(enrolled);
}

/* ---- what the store has */

static struct known *known_new(const cp_agent_record *record, int64_t mod_revision)
{
    struct known *known = gw_calloc(1, sizeof(*known));
    gw_arena_init(&known->arena, 256);
    const char **ids = GW_ARENA_ARRAY(&known->arena, const char *, record->n_environments + 1);
    for (size_t i = 0; i < record->n_environments; i++)
        ids[i] = gw_arena_strdup(&known->arena, cp_name_last(record->environments[i]));
    known->scope = cp_scope_text(&known->arena, ids, record->n_environments);
    for (size_t i = 0; i < GW_MIN(record->n_certificates, (size_t)CP_AGENT_CERTIFICATES_MAX); i++)
        memcpy(known->fingerprints[i], record->certificates[i],
               strnlen(record->certificates[i], CP_FINGERPRINT_CHARS));
    known->expiry_ms = record->expire_time ? record->expire_time->seconds * 1000 : 0;
    known->mod_revision = mod_revision;
    return known;
}

void cp_enrolled_put(struct cp_enrolled *enrolled, const cp_agent_record *record,
                     int64_t mod_revision)
{
    const char *id = cp_name_last(record->name);
    struct known *fresh = known_new(record, mod_revision);
    pthread_mutex_lock(&enrolled->lock);
    struct known *before = gw_map_get(&enrolled->agents, gw_str_from(id));
    fresh->generation = enrolled->generation;
    bool is_news = !before || before->mod_revision < mod_revision;
    if (is_news)
        (void)gw_map_put(&enrolled->agents, gw_str_from(id), fresh);
    else
        before->generation = enrolled->generation;
    pthread_mutex_unlock(&enrolled->lock);
    known_free(is_news ? before : fresh);
    if (is_news)
        enrolled->on_change(enrolled->arg, id);
}

void cp_enrolled_remove(struct cp_enrolled *enrolled, const char *agent_id, int64_t mod_revision)
{
    pthread_mutex_lock(&enrolled->lock);
    struct known *before = gw_map_get(&enrolled->agents, gw_str_from(agent_id));
    if (before && before->mod_revision <= mod_revision)
        (void)gw_map_take(&enrolled->agents, gw_str_from(agent_id));
    else
        before = NULL;
    pthread_mutex_unlock(&enrolled->lock);
    if (!before)
        return;
    known_free(before);
    enrolled->on_change(enrolled->arg, agent_id);
}

void cp_enrolled_begin(struct cp_enrolled *enrolled)
{
    pthread_mutex_lock(&enrolled->lock);
    enrolled->generation++;
    pthread_mutex_unlock(&enrolled->lock);
}

void cp_enrolled_end(struct cp_enrolled *enrolled)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    size_t count = 0;
    pthread_mutex_lock(&enrolled->lock);
    const char **gone = GW_ARENA_ARRAY(&arena, const char *, enrolled->agents.count + 1);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&enrolled->agents, e));)
        if (((const struct known *)e->value)->generation != enrolled->generation)
            gone[count++] = gw_arena_dup(&arena, e->key).ptr;
    pthread_mutex_unlock(&enrolled->lock);
    for (size_t i = 0; i < count; i++)
        cp_enrolled_remove(enrolled, gone[i], INT64_MAX);
}

void cp_enrolled_set_authority(struct cp_enrolled *enrolled, const char *pem)
{
    pthread_mutex_lock(&enrolled->lock);
    bool is_same = enrolled->authority && strcmp(enrolled->authority, pem) == 0;
    if (!is_same) {
        free(enrolled->authority);
        enrolled->authority = gw_strdup(pem);
        enrolled->authority_generation++;
    }
    pthread_mutex_unlock(&enrolled->lock);
}

char *cp_enrolled_cas(void *arg, uint64_t *ret_generation)
{
    struct cp_enrolled *enrolled = arg;
    pthread_mutex_lock(&enrolled->lock);
    char *copy = enrolled->authority ? gw_strdup(enrolled->authority) : NULL;
    *ret_generation = enrolled->authority_generation;
    pthread_mutex_unlock(&enrolled->lock);
    return copy;
}

/* ---- admission */

bool cp_enrolled_is_name(const char *cert_name)
{
    return cert_name && gw_str_has_prefix(gw_str_from(cert_name), GW_STR(CP_AGENT_URI));
}

static bool has_certificate(const struct known *known, const char *fingerprint)
{
    for (size_t i = 0; i < CP_AGENT_CERTIFICATES_MAX; i++)
        if (known->fingerprints[i][0] && strcmp(known->fingerprints[i], fingerprint) == 0)
            return true;
    return false;
}

/* With the lock held. */
static int look(const struct cp_enrolled *enrolled, const char *id, const char *fingerprint,
                struct gw_arena *arena, struct cp_agent_identity *ret, struct gw_error *err)
{
    const struct known *known = gw_map_get(&enrolled->agents, gw_str_from(id));
    if (!known)
        return gw_fail(err, GW_PERMISSION_DENIED,
                       "the agent %s is not enrolled: it has been revoked, or was never here", id);
    if (!has_certificate(known, fingerprint))
        return gw_fail(err, GW_PERMISSION_DENIED,
                       "the agent %s has got another certificate since this one", id);
    if (known->expiry_ms < gw_clock_wall_ms())
        return gw_fail(err, GW_PERMISSION_DENIED, "the certificate of the agent %s has expired",
                       id);
    ret->name = gw_arena_printf(arena, CP_AGENT_URI "%s", id).ptr;
    ret->scope = gw_arena_dup(arena, known->scope);
    ret->expiry_ms = known->expiry_ms;
    return 0;
}

int cp_enrolled_admit(struct cp_enrolled *enrolled, const struct gw_rpc_caller *caller,
                      const char *agent_id, struct gw_arena *arena,
                      struct cp_agent_identity *ret_identity, struct gw_error *err)
{
    char fingerprint[CP_FINGERPRINT_CHARS + 1];
    assert(cp_enrolled_is_name(caller->cert_name));
    const char *id = caller->cert_name + strlen(CP_AGENT_URI);
    if (agent_id && strcmp(agent_id, id) != 0)
        return gw_fail(err, GW_PERMISSION_DENIED,
                       "the certificate of the agent %s is not for one of the id %s", id, agent_id);
    if (!cp_certificate_fingerprint(caller->cert_pem, fingerprint))
        return gw_fail(err, GW_PERMISSION_DENIED, "the client certificate cannot be read");
    pthread_mutex_lock(&enrolled->lock);
    int failed = look(enrolled, id, fingerprint, arena, ret_identity, err);
    pthread_mutex_unlock(&enrolled->lock);
    return failed;
}

void cp_enrolled_stats(struct cp_enrolled *enrolled, size_t *ret_count, gw_msec *ret_expiry_ms)
{
    *ret_expiry_ms = 0;
    pthread_mutex_lock(&enrolled->lock);
    *ret_count = enrolled->agents.count;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&enrolled->agents, e));) {
        gw_msec expiry_ms = ((const struct known *)e->value)->expiry_ms;
        if (*ret_expiry_ms == 0 || expiry_ms < *ret_expiry_ms)
            *ret_expiry_ms = expiry_ms;
    }
    pthread_mutex_unlock(&enrolled->lock);
}
