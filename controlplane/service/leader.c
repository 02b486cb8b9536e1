/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/leader.h"

#include "common/log.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COMPONENT "leader"
#define NANOS_PER_MS 1000000

struct cp_leader {
    struct cp_store *store; /* borrowed */
    int64_t ttl_s;
    char who[HOST_NAME_MAX + 32]; /* for people: the key's value */
    pthread_t thread;
    bool is_running;
    pthread_mutex_t stepping; /* one step at a time; held over calls of the store */
    int64_t lease;            /* of this process; 0: none. Under `stepping` */
    pthread_mutex_t lock;     /* for all below; never held over a call */
    pthread_cond_t stopped;
    bool is_stopping;
    int64_t revision;    /* of the key, as this process has put it; 0: it does not lead */
    gw_msec valid_until; /* monotonic: until then nobody else can have it */
    int64_t terms;
};

static bool holds(struct cp_leader *leader)
{
    pthread_mutex_lock(&leader->lock);
    bool does = leader->revision != 0;
    pthread_mutex_unlock(&leader->lock);
    return does;
}

static void set(struct cp_leader *leader, int64_t revision, gw_msec valid_until)
{
    pthread_mutex_lock(&leader->lock);
    leader->terms += revision != 0 && leader->revision == 0;
    leader->revision = revision;
    leader->valid_until = valid_until;
    pthread_mutex_unlock(&leader->lock);
}

static void lose(struct cp_leader *leader, const char *why)
{
    leader->lease = 0; /* what is left of it ends by itself */
    set(leader, 0, 0);
    gw_log(GW_LOG_WARN, COMPONENT, "this replica no longer leads", gw_kv_text("why", why));
}

/* The lease counts from before it was asked for: the store's time begins later, and ends later. */
static void keep(struct cp_leader *leader)
{
    struct gw_error err = GW_ERROR_NONE;
    gw_msec asked_ms = gw_clock_monotonic_ms();
    if (cp_store_lease_keepalive(leader->store, leader->lease, &err) == 0) {
        pthread_mutex_lock(&leader->lock);
        leader->valid_until = asked_ms + leader->ttl_s * 1000;
        pthread_mutex_unlock(&leader->lock);
    } else if (err.code == GW_NOT_FOUND) {
        lose(leader, "its lease ended before it was kept alive");
    } else if (!cp_leader_leads(leader)) {
        lose(leader, "the store has not answered for as long as the lease lasts");
    }
}

static void let_go(struct cp_leader *leader)
{
    struct gw_error err = GW_ERROR_NONE;
    if (cp_store_lease_revoke(leader->store, leader->lease, &err) < 0)
        gw_log(GW_LOG_DEBUG, COMPONENT, "the lease is left to end by itself", gw_kv_error(&err));
    leader->lease = 0;
}

static bool is_free(struct cp_leader *leader)
{
    struct cp_found found;
    struct gw_error ignored; /* the store is away: the watcher says so */
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    return cp_store_get(leader->store, GW_STR(CP_LEADER_KEY), &arena, &found, &ignored) == 0 &&
           !found.found;
}

static int put_key(struct cp_leader *leader, struct cp_commit *ret_commit, struct gw_error *err)
{
    struct cp_compare compare = {.key = GW_STR(CP_LEADER_KEY), .kind = CP_COMPARE_MOD};
    struct cp_op op = {.kind = CP_OP_PUT,
                       .key = GW_STR(CP_LEADER_KEY),
                       .value = gw_str_from(leader->who),
                       .lease = leader->lease};
    struct cp_txn txn = {.compares = &compare, .compare_count = 1, .ops = &op, .op_count = 1};
    return cp_store_txn(leader->store, &txn, ret_commit, err);
}

static void campaign(struct cp_leader *leader)
{
    struct cp_commit commit = {0};
    struct gw_error err = GW_ERROR_NONE;
    if (!is_free(leader))
        return;
    gw_msec asked_ms = gw_clock_monotonic_ms();
    if (cp_store_lease_grant(leader->store, leader->ttl_s, &leader->lease, &err) < 0)
        return;
    if (put_key(leader, &commit, &err) == 0 && commit.committed) {
        set(leader, commit.at.revision, asked_ms + leader->ttl_s * 1000);
        gw_log(GW_LOG_INFO, COMPONENT, "this replica leads: it does what is to be done once",
               gw_kv_text("as", leader->who), gw_kv_int("revision", commit.at.revision));
        return;
    }
    let_go(leader);
}

void cp_leader_step(struct cp_leader *leader)
{
    if (!leader)
        return;
    pthread_mutex_lock(&leader->stepping);
    if (holds(leader))
        keep(leader);
    if (!holds(leader))
        campaign(leader);
    pthread_mutex_unlock(&leader->stepping);
}

bool cp_leader_leads(struct cp_leader *leader)
{
    if (!leader)
        return true;
    pthread_mutex_lock(&leader->lock);
    bool leads = leader->revision != 0 && gw_clock_monotonic_ms() < leader->valid_until;
    pthread_mutex_unlock(&leader->lock);
    return leads;
}

int64_t cp_leader_terms(struct cp_leader *leader)
{
    if (!leader)
        return 1;
    pthread_mutex_lock(&leader->lock);
    int64_t terms = leader->terms;
    pthread_mutex_unlock(&leader->lock);
    return terms;
}

/* Not by the clock: between here and the store any time may pass, and there the key decides. */
int cp_leader_fence(struct cp_leader *leader, struct cp_compare *ret_compare, struct gw_error *err)
{
    pthread_mutex_lock(&leader->lock);
    int64_t revision = leader->revision;
    pthread_mutex_unlock(&leader->lock);
    *ret_compare = (struct cp_compare){
        .key = GW_STR(CP_LEADER_KEY), .kind = CP_COMPARE_MOD, .mod_revision = revision};
    return revision ? 0 : gw_fail(err, GW_FAILED_PRECONDITION, "another replica leads");
}

int cp_change_fence(const struct cp_call *call, struct cp_change *change, struct gw_error *err)
{
    struct cp_compare fence;
    struct cp_leader *leader = call->services->leader;
    if (!leader)
        return 0;
    if (cp_leader_fence(leader, &fence, err) < 0)
        return -1;
    cp_change_expect(change, fence.key, fence.mod_revision);
    return 0;
}

/* ---- life */

/* False: it is stopped. */
static bool rest(struct cp_leader *leader)
{
    gw_msec until_ms = gw_clock_monotonic_ms() + CP_LEADER_TURN_MS;
    struct timespec until = {.tv_sec = until_ms / 1000,
                             .tv_nsec = (until_ms % 1000) * NANOS_PER_MS};
    pthread_mutex_lock(&leader->lock);
    while (!leader->is_stopping && !pthread_cond_timedwait(&leader->stopped, &leader->lock, &until))
        ;
    bool goes_on = !leader->is_stopping;
    pthread_mutex_unlock(&leader->lock);
    return goes_on;
}

static void *run(void *arg)
{
    struct cp_leader *leader = arg;
    do
        cp_leader_step(leader);
    while (rest(leader));
    return NULL;
}

struct cp_leader *cp_leader_new(struct cp_store *store, int64_t ttl_s)
{
    char host[HOST_NAME_MAX + 1] = "?";
    struct cp_leader *leader = gw_calloc(1, sizeof(*leader));
    leader->store = store;
    leader->ttl_s = ttl_s;
    (void)gethostname(host, sizeof(host) - 1);
    snprintf(leader->who, sizeof(leader->who), "%s, process %d", host, (int)getpid());
    pthread_mutex_init(&leader->stepping, NULL);
    pthread_mutex_init(&leader->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&leader->stopped, &attributes);
    pthread_condattr_destroy(&attributes);
    return leader;
}

void cp_leader_start(struct cp_leader *leader)
{
    if (!leader)
        return;
    int failed = pthread_create(&leader->thread, NULL, run, leader);
    if (failed)
        gw_panic("cannot start the leader's thread: %s", strerror(failed));
    leader->is_running = true;
}

void cp_leader_free(struct cp_leader *leader)
{
    if (!leader)
        return;
    pthread_mutex_lock(&leader->lock);
    leader->is_stopping = true;
    pthread_cond_broadcast(&leader->stopped);
    pthread_mutex_unlock(&leader->lock);
    if (leader->is_running)
        pthread_join(leader->thread, NULL);
    if (cp_leader_leads(leader)) /* else the store is away, and would be waited for */
        let_go(leader);
    pthread_cond_destroy(&leader->stopped);
    pthread_mutex_destroy(&leader->lock);
    pthread_mutex_destroy(&leader->stepping);
    free(leader);
}
