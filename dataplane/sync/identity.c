/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/identity.h"

#include "common/log.h"
#include "common/message.h"
#include "dataplane/sync/hello.h"
#include "dataplane/sync/identity_file.h"
#include "dataplane/sync/wire.h"

#include <ev.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define ENROL_PATH "/penstock.agent.v1.AgentService/Enrol"
#define RENEW_PATH "/penstock.agent.v1.AgentService/Renew"
#define CALL_MS 10000
#define LOOK_MS 5000 /* at the clock and the token's file */
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 60000
#define RETRY_REFUSED_MS 30000

typedef Penstock__Agent__V1__EnrolResponse enrol_reply;

struct dp_identity {
    struct ev_loop *loop; /* borrowed */
    const struct dp_sync_options *options;
    struct dp_sync_options bare; /* the same without a certificate, for the first call */
    void (*on_certificate)(void *user, int64_t expiry_s);
    void *user;
    struct dp_hello hello;
    struct dp_places *places; /* owned */
    struct dp_wire *wire;     /* owned; NULL: no call is under way */
    struct dp_key *key;       /* owned; of the call that is under way */
    struct gw_arena call;     /* of it */
    gw_str request;           /* packed */
    bool is_renewal, has_reply, is_paused;
    bool has_new_token; /* that was neither taken nor refused yet */
    ev_timer timer;     /* when to look again, or the deadline of the call */
    struct dp_identity_times times;
    int64_t renew_s;                    /* since the epoch */
    gw_msec retry_ms, not_before;       /* monotonic */
    char token[DP_TOKEN_BYTES_MAX + 1]; /* the last one that was tried, or that was there before */
};

static int64_t now_s(void)
{
    return gw_clock_wall_ms() / 1000;
}

static uint32_t chance(uint32_t limit)
{
    uint32_t random = 0;
    (void)RAND_bytes((unsigned char *)&random, sizeof(random)); /* 0 is no worse than any number */
    return random % (limit + 1);
}

static void set_timer(struct dp_identity *identity, gw_msec after_ms)
{
    ev_timer_stop(identity->loop, &identity->timer);
    ev_timer_set(&identity->timer, (double)after_ms / 1000, 0);
    ev_timer_start(identity->loop, &identity->timer);
}

/* Two thirds of the life, and up to a twelfth more by chance, so that a thousand agents that were
 * enrolled as one do not come as one. */
static void take_times(struct dp_identity *identity)
{
    identity->times = (struct dp_identity_times){0};
    if (!dp_identity_read(identity->options->cert_file, &identity->times))
        return;
    int64_t life_s = GW_MAX(identity->times.end_s - identity->times.begin_s, (int64_t)0);
    int64_t spread_s = GW_MIN(life_s / 12, (int64_t)UINT32_MAX - 1);
    identity->renew_s =
        identity->times.begin_s + life_s * 2 / 3 + (int64_t)chance((uint32_t)spread_s);
}

bool dp_identity_is_ready(const struct dp_identity *identity)
{
    return identity->times.end_s > now_s();
}

int64_t dp_identity_expiry_s(const struct dp_identity *identity)
{
    return identity->times.end_s;
}

/* ---- a call */

static void end_call(struct dp_identity *identity)
{
    dp_wire_free(identity->wire);
    identity->wire = NULL;
    dp_key_free(identity->key);
    identity->key = NULL;
    gw_arena_reset(&identity->call);
}

static void fail(struct dp_identity *identity, const struct gw_error *why)
{
    bool is_refused = why->code == GW_PERMISSION_DENIED || why->code == GW_RESOURCE_EXHAUSTED;
    identity->has_new_token &= why->code != GW_PERMISSION_DENIED || identity->is_renewal;
    identity->retry_ms = is_refused
                             ? RETRY_REFUSED_MS
                             : GW_MIN(GW_MAX(identity->retry_ms * 2, RETRY_MIN_MS), RETRY_MAX_MS);
    gw_msec pause_ms = identity->retry_ms / 2 + chance((uint32_t)identity->retry_ms / 2);
    identity->not_before = gw_clock_monotonic_ms() + pause_ms;
    gw_log(GW_LOG_WARN, "identity",
           identity->is_renewal ? "the certificate is not renewed yet" : "not enrolled yet",
           gw_kv_text("agent", identity->options->agent_id), gw_kv_error(why),
           gw_kv_int("retry_ms", pause_ms));
    end_call(identity);
    set_timer(identity, GW_MIN(pause_ms, LOOK_MS));
}

static int on_open(void *user, struct dp_wire *wire, struct gw_error *err)
{
    const struct dp_identity *identity = user;
    return dp_wire_send(wire, identity->request, err);
}

static int on_heard(void *user, struct dp_wire *wire, struct gw_error *err)
{
    (void)user, (void)wire, (void)err;
    return 0;
}

static int on_message(void *user, struct dp_wire *wire, gw_str bytes, struct gw_error *err)
{
    struct dp_identity *identity = user;
    ProtobufCMessage *message;
    (void)wire;
    if (gw_message_unpack(&identity->call, &penstock__agent__v1__enrol_response__descriptor, bytes,
                          &message, err) < 0 ||
        dp_identity_write(identity->options->cert_file, identity->key,
                          ((const enrol_reply *)message)->certificate_pem, err) < 0)
        return -1;
    identity->has_reply = true;
    return 0;
}

/* Also the call's good end. */
static void on_lost(void *user, struct dp_wire *wire, const struct gw_error *why)
{
    struct dp_identity *identity = user;
    (void)wire;
    if (!identity->has_reply) {
        fail(identity, why);
        return;
    }
    end_call(identity);
    take_times(identity);
    identity->retry_ms = 0;
    identity->has_new_token &= identity->is_renewal;
    gw_log(GW_LOG_INFO, "identity", identity->is_renewal ? "certificate renewed" : "enrolled",
           gw_kv_text("agent", identity->options->agent_id),
           gw_kv_int("expires_in_s", identity->times.end_s - now_s()));
    set_timer(identity, LOOK_MS);
    identity->on_certificate(identity->user, identity->times.end_s);
}

static const struct dp_wire_events enrol_events = {.path = ENROL_PATH,
                                                   .on_open = on_open,
                                                   .on_heard = on_heard,
                                                   .on_message = on_message,
                                                   .on_lost = on_lost};
static const struct dp_wire_events renew_events = {.path = RENEW_PATH,
                                                   .on_open = on_open,
                                                   .on_heard = on_heard,
                                                   .on_message = on_message,
                                                   .on_lost = on_lost};

static gw_str pack(struct dp_identity *identity, gw_str token, const char *request_pem)
{
    Penstock__Agent__V1__EnrolRequest enrol = PENSTOCK__AGENT__V1__ENROL_REQUEST__INIT;
    Penstock__Agent__V1__RenewRequest renew = PENSTOCK__AGENT__V1__RENEW_REQUEST__INIT;
    renew.certificate_request_pem = (char *)(uintptr_t)request_pem;
    if (identity->is_renewal)
        return gw_message_pack(&identity->call, &renew.base);
    enrol.token = (char *)(uintptr_t)token.ptr;
    enrol.agent_id = (char *)(uintptr_t)identity->options->agent_id;
    enrol.certificate_request_pem = (char *)(uintptr_t)request_pem;
    return gw_message_pack(&identity->call, &enrol.base);
}

static int open_wire(struct dp_identity *identity, struct gw_error *err)
{
    struct dp_place place;
    if (!dp_places_next(identity->places, &place)) { /* all have had a call: from the start */
        dp_places_new_round(identity->places);
        dp_places_refresh(identity->places);
    }
    if (!dp_places_next(identity->places, &place)) {
        const char *why = dp_places_why(identity->places);
        return gw_fail(err, GW_UNAVAILABLE, "%s", *why ? why : "its name is not resolved yet");
    }
    if (dp_wire_open(identity->loop, &place,
                     identity->is_renewal ? identity->options : &identity->bare,
                     identity->is_renewal ? &renew_events : &enrol_events, identity,
                     &identity->wire, err) == 0) {
        dp_places_failed(identity->places, &place); /* the next call goes to the next one */
        return 0;
    }
    dp_places_failed(identity->places, &place);
    return -1;
}

static void begin(struct dp_identity *identity, gw_str token)
{
    struct gw_error err = GW_ERROR_NONE;
    const char *request_pem;
    identity->has_reply = false;
    identity->is_renewal = token.ptr == NULL;
    if (dp_key_make(identity->options->agent_id, &identity->call, &identity->key, &request_pem,
                    &err) < 0) {
        fail(identity, &err);
        return;
    }
    identity->request = pack(identity, token, request_pem);
    if (open_wire(identity, &err) < 0)
        fail(identity, &err);
    else
        set_timer(identity, CALL_MS);
}

/* ---- when */

/* A token that has come into the file since the last one was tried, or any where there is no
 * certificate. */
static gw_str token_to_try(struct dp_identity *identity)
{
    gw_str token = dp_token_read(identity->options->enrolment_token_file, &identity->call);
    if (token.ptr && !gw_str_eq(token, gw_str_from(identity->token))) {
        identity->has_new_token = true;
        memcpy(identity->token, token.ptr, token.len);
        identity->token[token.len] = '\0';
        identity->not_before = 0; /* what was wrong with the one before is none of its business */
    }
    bool is_wanted = identity->has_new_token || !dp_identity_is_ready(identity);
    return is_wanted ? token : GW_STR_NONE;
}

static void look(struct dp_identity *identity)
{
    gw_str token = token_to_try(identity);
    gw_msec due_ms = dp_identity_is_ready(identity) ? (identity->renew_s - now_s()) * 1000
                                                    : LOOK_MS; /* for a token, then */
    if (token.ptr)
        due_ms = 0;
    due_ms = GW_MAX(due_ms, identity->not_before - gw_clock_monotonic_ms());
    if (due_ms <= 0 && !identity->is_paused) {
        begin(identity, token);
        return;
    }
    gw_arena_reset(&identity->call);
    set_timer(identity, due_ms > 0 ? GW_MIN(due_ms, (gw_msec)LOOK_MS) : LOOK_MS);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct dp_identity *identity = timer->data;
    struct gw_error err = GW_ERROR_NONE;
    if (!identity->wire) {
        look(identity);
        return;
    }
    (void)gw_fail(&err, GW_UNAVAILABLE, "no answer within %d ms", CALL_MS);
    fail(identity, &err);
}

/* ---- life */

static void on_resolved(void *user)
{
    struct dp_identity *identity = user;
    if (!identity->wire && !dp_identity_is_ready(identity))
        set_timer(identity, 0);
}

int dp_identity_new(struct ev_loop *loop, const struct dp_sync_options *options,
                    void (*on_certificate)(void *user, int64_t expiry_s), void *user,
                    struct dp_identity **ret_identity, struct gw_error *err)
{
    struct dp_identity *identity = gw_calloc(1, sizeof(*identity));
    *identity = (struct dp_identity){.loop = loop,
                                     .options = options,
                                     .bare = *options,
                                     .on_certificate = on_certificate,
                                     .user = user};
    identity->bare.cert_file = identity->bare.key_file = "";
    gw_arena_init(&identity->call, 4096);
    ev_init(&identity->timer, on_timer);
    identity->timer.data = identity;
    if (dp_hello_parse(&identity->hello, options, err) < 0) {
        dp_identity_free(identity);
        return -1;
    }
    identity->places =
        dp_places_new(loop, &identity->hello, options->agent_id, on_resolved, identity);
    take_times(identity);
    if (dp_identity_is_ready(identity)) { /* the token that is there was for this one */
        gw_str token = dp_token_read(options->enrolment_token_file, &identity->call);
        if (token.ptr)
            memcpy(identity->token, token.ptr, token.len);
        gw_arena_reset(&identity->call);
    }
    set_timer(identity, 100);
    *ret_identity = identity;
    return 0;
}

void dp_identity_pause(struct dp_identity *identity, bool is_paused)
{
    identity->is_paused = is_paused;
}

void dp_identity_free(struct dp_identity *identity)
{
    if (!identity)
        return;
    ev_timer_stop(identity->loop, &identity->timer);
    end_call(identity);
    dp_places_free(identity->places);
    dp_hello_done(&identity->hello);
    gw_arena_done(&identity->call);
    free(identity);
}
