/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/feed_internal.h"

#include "common/test.h"
#include "controlplane/service/test_apis.h"
#include "controlplane/service/test_ear.h"

#include <openssl/sha.h>
#include <unistd.h>

/* ---- the feed, and who brings it the changes ---- */

static struct cp_feed *feed;
static struct cp_auth *auth;
static struct cp_watch *watch;
static struct cp_position at;

static void start_feed(struct fixture *f, struct cp_feed_options options, const char *credentials)
{
    assert_int_equal(cp_auth_new(credentials, &auth, &f->err), 0);
    options.services = &f->services;
    options.auth = auth;
    feed = cp_feed_start(&options);
    assert_int_equal(cp_store_ping(f->services.store, &at, &f->err), 0);
    assert_int_equal(cp_watch_open(f->services.store, GW_STR(CP_KEY_WATCHED), at, &watch, &f->err),
                     0);
    cp_feed_listed(feed, at);
}

static void stop_feed(void)
{
    cp_feed_stop(feed);
    cp_watch_close(watch);
}

static void free_feed(void)
{
    cp_feed_free(feed);
    cp_auth_free(auth);
}

/* All that was written until now. */
static void pump(struct fixture *f)
{
    struct cp_position now;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    assert_int_equal(cp_store_ping(f->services.store, &now, &f->err), 0);
    while (at.revision < now.revision) {
        struct cp_batch batch = {.count = 0};
        assert_int_equal(cp_watch_next(watch, 1000, &arena, &batch, &f->err), CP_WATCH_LIVE);
        if (batch.count > 0)
            at.revision = batch.events[batch.count - 1].kv.mod_revision;
        cp_feed_add(feed, &batch);
    }
}

static int try_watch(struct ear *ear, const char *request, const char *bearer)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_rpc_caller caller = {
        .peer = "ipv4:127.0.0.1:1", .is_loopback = true, .bearer = bearer};
    struct cp_sink sink = {.send = hear_message, .end = hear_end, .arg = ear};
    ProtobufCMessage *message;
    *ear = (struct ear){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    if (gw_json_parse(&arena, &penstock__admin__v1__watch_request__descriptor, gw_str_from(request),
                      &message, &ear->err))
        fail_msg("%s", ear->err.message);
    return cp_feed_stream_type.open(feed, &caller, message, &sink, &ear->stream, &ear->err);
}

static void begin_watch(struct ear *ear, const char *request)
{
    if (try_watch(ear, request, NULL))
        fail_msg("%s", ear->err.message);
}

static void make_app(struct fixture *f, const char *id)
{
    (void)ok(f, &cp_app_service, "CreateApp", format("{\"appId\": \"%s\"}", id));
}

/* ---- what is told ---- */

static void test_changes_of_what_is_asked_for(void **state)
{
    struct fixture *f = *state;
    struct ear all, some;
    start_feed(f, (struct cp_feed_options){0}, NULL);
    begin_watch(&all, "{}");
    begin_watch(&some, "{\"kinds\": [\"apps\", \"codes\"], \"parent\": \"apps/one\"}");
    assert_string_equal(hear(&all), format("{\"revision\":\"%lld\"}", (long long)at.revision));
    (void)hear(&some);
    make_app(f, "one");
    make_app(f, "two");
    (void)ok(f, &cp_app_service, "CreateAppCode", "{\"parent\": \"apps/one\", \"codeId\": \"c\"}");
    (void)ok(f, &cp_app_service, "DeleteApp", "{\"name\": \"apps/one\"}");
    pump(f);
    ASSERT_HAS(hear(&all), "CREATED\",\"name\":\"apps/one\",\"app\":{\"name\":\"apps/one\"");
    ASSERT_HAS(hear(&all), "\"name\":\"apps/two\"");
    ASSERT_HAS(hear(&all), "\"name\":\"apps/one/codes/c\"");
    ASSERT_HAS_NOT(all.line, "digest");
    ASSERT_HAS_NOT(all.line, "\"code\":\"");
    ASSERT_HAS(hear(&some), "\"name\":\"apps/one\"");
    ASSERT_HAS(hear(&some), "\"name\":\"apps/one/codes/c\"");
    ASSERT_HAS(hear(&some), "DELETED\",\"name\":\"apps/one\"}");
    ASSERT_HAS(some.line,
               "DELETED\",\"name\":\"apps/one/codes/c\"}"); /* of one revision: one message */
    stop_feed();
    assert_int_equal(hear_end_of(&all)->code, GW_UNAVAILABLE);
    leave(&all);
    leave(&some);
    free_feed();
}

static void test_a_publish_is_told_of_the_api_and_the_release(void **state)
{
    struct fixture *f = *state;
    struct ear ear;
    start_feed(f, (struct cp_feed_options){0}, NULL);
    begin_watch(&ear, "{}");
    (void)hear(&ear);
    (void)create(f, "a", "GET", "/a");
    (void)publish(f, API);
    pump(f);
    ASSERT_HAS(hear(&ear), "CREATED\",\"name\":\"" API "\",\"api\":{");
    const char *line = hear(&ear);
    ASSERT_HAS(line, "CREATED\",\"name\":\"" API "/releases/RELEASE-1\",\"release\":{");
    ASSERT_HAS(line, "UPDATED\",\"name\":\"" API "\",\"api\":{");
    ASSERT_HAS(line, "\"publications\":[{\"name\":\"" API "/publications/RELEASE\"");
    leave(&ear);
    stop_feed();
    free_feed();
}

static void test_bookmarks_say_how_far_it_is(void **state)
{
    struct fixture *f = *state;
    struct ear ear;
    start_feed(f, (struct cp_feed_options){.bookmark_ms = 1}, NULL);
    begin_watch(&ear, "{\"kinds\": [\"groups\"]}");
    (void)hear(&ear);
    make_app(f, "one");
    pump(f);
    const char *want = format("{\"revision\":\"%lld\"}", (long long)at.revision);
    while (strcmp(hear(&ear), want) != 0)
        ASSERT_HAS_NOT(ear.line, "events");
    leave(&ear);
    stop_feed();
    free_feed();
}

/* ---- going on ---- */

static void test_a_watch_goes_on_behind_what_was_heard(void **state)
{
    struct fixture *f = *state;
    struct ear first, second;
    start_feed(f, (struct cp_feed_options){0}, NULL);
    begin_watch(&first, "{}");
    (void)hear(&first);
    make_app(f, "one");
    make_app(f, "two");
    pump(f);
    ASSERT_HAS(hear(&first), "apps/one");
    long long seen = strtoll(strstr(first.line, "revision\":\"") + 11, NULL, 10);
    leave(&first);
    begin_watch(&second, format("{\"afterRevision\": %lld}", seen));
    assert_string_equal(hear(&second), format("{\"revision\":\"%lld\"}", seen));
    ASSERT_HAS(hear(&second), "apps/two");
    leave(&second);
    stop_feed();
    free_feed();
}

static void ends(struct ear *ear, enum gw_code code, const char *reason)
{
    const struct gw_error *err = hear_end_of(ear);
    if (err->code != code || strcmp(err->reason, reason) != 0)
        fail_msg("%s %s: %s", gw_code_name(err->code), err->reason, err->message);
    leave(ear);
}

static void test_what_is_forgotten_is_said_so(void **state)
{
    struct fixture *f = *state;
    struct ear old, ahead, slow, stays;
    start_feed(f, (struct cp_feed_options){.revisions_max = 3}, NULL);
    int64_t before = at.revision;
    begin_watch(&slow, "{}"); /* hears the first answer and takes no more */
    begin_watch(&stays, "{}");
    (void)hear(&stays);
    for (int i = 0; i < 5; i++) {
        make_app(f, format("app%d", i));
        pump(f);
        ASSERT_HAS(hear(&stays), format("apps/app%d", i));
    }
    begin_watch(&old, format("{\"afterRevision\": %lld}", (long long)before));
    ends(&old, GW_OUT_OF_RANGE, "RELIST");
    ends(&slow, GW_RESOURCE_EXHAUSTED, "WATCH_TOO_SLOW");
    begin_watch(&ahead, format("{\"afterRevision\": %lld}", (long long)at.revision + 1));
    ends(&ahead, GW_OUT_OF_RANGE, "RELIST");
    struct cp_feed_stats stats;
    cp_feed_stats(feed, &stats);
    assert_int_equal(stats.slow, 1);
    leave(&stays);
    stop_feed();
    free_feed();
}

static void test_bytes_are_limited_too(void **state)
{
    struct fixture *f = *state;
    struct cp_feed_stats stats;
    start_feed(f, (struct cp_feed_options){.bytes_max = 64 * 1024}, NULL);
    for (int i = 0; i < 200; i++)
        make_app(f, format("app%d", i));
    pump(f);
    cp_feed_stats(feed, &stats);
    assert_in_range(stats.bytes, 1, 64 * 1024);
    stop_feed();
    free_feed();
}

/* What is made for a reader that is behind counts as well, from the moment on that it is there. */
static void test_catching_up_stays_within_the_bytes(void **state)
{
    struct fixture *f = *state;
    struct ear ear;
    struct cp_feed_stats stats;
    start_feed(f, (struct cp_feed_options){.bytes_max = 64 * 1024}, NULL);
    for (int i = 0; i < 200; i++)
        (void)ok(f, &cp_app_service, "CreateApp",
                 format("{\"appId\": \"app%d\", \"app\": {\"description\": \"%0255d\"}}", i, i));
    pump(f);
    begin_watch(&ear, format("{\"afterRevision\": %lld}", (long long)feed->forgotten));
    (void)hear(&ear);
    do {
        cp_feed_stats(feed, &stats);
        assert_in_range(stats.bytes, 1, 64 * 1024);
    } while (!strstr(hear(&ear), "apps/app199"));
    assert_int_equal(stats.slow, 0);
    leave(&ear);
    stop_feed();
    free_feed();
}

static void test_a_gap_ends_every_watch(void **state)
{
    struct fixture *f = *state;
    struct ear ear, again;
    start_feed(f, (struct cp_feed_options){0}, NULL);
    begin_watch(&ear, "{}");
    (void)hear(&ear);
    cp_feed_listed(feed, at); /* the watch broke, and nothing happened meanwhile */
    make_app(f, "one");
    pump(f);
    ASSERT_HAS(hear(&ear), "apps/one");
    int64_t before = at.revision;
    make_app(f, "unseen");
    assert_int_equal(cp_store_ping(f->services.store, &at, &f->err), 0);
    cp_feed_listed(feed, at);
    ends(&ear, GW_OUT_OF_RANGE, "RELIST");
    begin_watch(&again, format("{\"afterRevision\": %lld}", (long long)before));
    ends(&again, GW_OUT_OF_RANGE, "RELIST");
    stop_feed();
    free_feed();
}

/* ---- who may ---- */

static void add_token(FILE *file, const char *token, const char *rights, const char *behind)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)token, strlen(token), digest);
    fprintf(file, "{\"sha256\": \"");
    for (size_t i = 0; i < sizeof(digest); i++)
        fprintf(file, "%02x", digest[i]);
    fprintf(file, "\", \"principal\": \"%s\", %s}%s", token, rights, behind);
}

static void test_everybody_sees_what_they_may_read(void **state)
{
    struct fixture *f = *state;
    struct ear viewer, limited, stranger, elsewhere;
    char path[] = "/tmp/penstock-feed-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fprintf(file, "{\"tokens\": [");
    add_token(file, "viewer", "\"role\": \"viewer\"", ",");
    add_token(file, "limited", "\"role\": \"viewer\", \"limits\": [\"apps/two\"]",
              "], \"roles\": []}");
    fclose(file);
    start_feed(f, (struct cp_feed_options){.bookmark_ms = 20}, path);
    assert_int_equal(try_watch(&viewer, "{\"kinds\": [\"apps\"]}", "viewer"), 0);
    assert_int_equal(try_watch(&limited, "{}", "limited"), 0);
    assert_int_equal(try_watch(&stranger, "{}", "made up"), 0);
    assert_int_equal(try_watch(&elsewhere, "{}", NULL), 0);
    ends(&stranger, GW_UNAUTHENTICATED, "");
    ends(&elsewhere, GW_UNAUTHENTICATED, "");
    (void)hear(&viewer);
    (void)hear(&limited);
    make_app(f, "one");
    make_app(f, "two");
    pump(f);
    while (!strstr(hear(&viewer), "events"))
        ;
    ASSERT_HAS(viewer.line, "apps/one");
    while (!strstr(hear(&limited), "events"))
        ;
    ASSERT_HAS(limited.line, "apps/two");
    assert_int_equal(truncate(path, 0), 0);
    file = fopen(path, "w");
    fprintf(file, "{\"tokens\": []}");
    fclose(file);
    (void)hear_all_of(&viewer); /* they are asked again who they are */
    ends(&viewer, GW_UNAUTHENTICATED, "");
    ends(&limited, GW_UNAUTHENTICATED, "");
    stop_feed();
    free_feed();
    unlink(path);
}

/* ---- who that is takes a while ---- */

/* The users of access keys: "slow:x" is known after SLOW_MS of a clock that only this moves, the
 * others when the gate opens, and not known. */
#define SLOW_MS 60
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

static void set_gate(bool is_open)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = is_open;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static int find_key(void *arg, gw_str id, gw_str secret, struct gw_arena *arena,
                    struct cp_known_user *ret, struct gw_error *err)
{
    static const struct cp_grant grant = {.role_name = "viewer"};
    (void)arg, (void)secret, (void)arena, (void)err;
    *ret = (struct cp_known_user){.name = NULL};
    if (gw_str_eq(id, GW_STR("slow"))) {
        pthread_mutex_lock(&gate.lock);
        gw_clock_fake(gw_clock_monotonic_ms() + SLOW_MS, gw_clock_wall_ms() + SLOW_MS);
        pthread_mutex_unlock(&gate.lock);
        *ret = (struct cp_known_user){
            .name = "accounts/a/users/slow", .grants = &grant, .grant_count = 1};
        return 0;
    }
    pthread_mutex_lock(&gate.lock);
    while (!gate.is_open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    return 0;
}

static void start_feed_of_users(struct fixture *f, gw_msec bookmark_ms)
{
    char path[] = "/tmp/penstock-feed-XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");
    fprintf(file, "{\"tokens\": [");
    add_token(file, "viewer", "\"role\": \"viewer\"", "]}");
    fclose(file);
    start_feed(f, (struct cp_feed_options){.bookmark_ms = bookmark_ms}, path);
    cp_auth_set_directory(auth, &(struct cp_directory){.by_key = find_key});
    unlink(path); /* the last good form stays in force */
}

static void test_asking_longer_than_the_answer_holds(void **state)
{
    struct fixture *f = *state;
    struct ear one, two;
    gw_clock_fake(gw_clock_monotonic_ms(), gw_clock_wall_ms());
    start_feed_of_users(f, SLOW_MS - 10);
    assert_int_equal(try_watch(&one, "{}", "slow:x"), 0);
    assert_int_equal(try_watch(&two, "{}", "slow:x"), 0);
    (void)hear(&one);
    (void)hear(&two); /* from now on */
    make_app(f, "one");
    pump(f);
    while (!strstr(hear(&one), "apps/one"))
        ;
    while (!strstr(hear(&two), "apps/one"))
        ;
    leave(&one);
    leave(&two);
    stop_feed();
    free_feed();
    gw_clock_fake_off();
}

static void test_strangers_hold_nobody_up(void **state)
{
    struct fixture *f = *state;
    static struct ear strangers[CP_FEED_UNKNOWN_MAX];
    struct ear viewer, late;
    struct cp_feed_stats stats;
    set_gate(false);
    start_feed_of_users(f, 0);
    assert_int_equal(try_watch(&viewer, "{}", "viewer"), 0);
    (void)hear(&viewer);
    size_t taken = 0; /* the viewer's own job may be one of them for a moment */
    while (taken < CP_FEED_UNKNOWN_MAX && !try_watch(&strangers[taken], "{}", "x:y"))
        taken++;
    assert_in_range(taken, CP_FEED_UNKNOWN_MAX - 1, CP_FEED_UNKNOWN_MAX);
    while (!try_watch(&late, "{}", "viewer"))
        leave(&late);
    assert_int_equal(late.err.code, GW_RESOURCE_EXHAUSTED);
    assert_string_equal(late.err.reason, "WATCHES_TOO_MANY");
    cp_feed_stats(feed, &stats);
    assert_int_equal(stats.readers, 1);
    make_app(f, "one");
    pump(f);
    ASSERT_HAS(hear(&viewer), "apps/one");
    leave(&strangers[0]); /* while it is being asked who that is */
    set_gate(true);
    for (size_t i = 1; i < taken; i++)
        ends(&strangers[i], GW_UNAUTHENTICATED, "");
    leave(&viewer);
    stop_feed();
    free_feed();
}

static void test_the_end_while_callers_are_unknown(void **state)
{
    struct fixture *f = *state;
    struct ear ear;
    set_gate(false);
    start_feed_of_users(f, 0);
    assert_int_equal(try_watch(&ear, "{}", "x:y"), 0);
    set_gate(true);
    stop_feed();
    (void)hear_end_of(&ear);
    leave(&ear);
    free_feed();
}

static void watch_refused(const char *request, enum gw_code code, const char *message)
{
    struct ear ear;
    assert_int_equal(try_watch(&ear, request, NULL), -1);
    assert_int_equal(ear.err.code, code);
    ASSERT_HAS(ear.err.message, message);
}

static void test_requests_that_are_wrong(void **state)
{
    struct fixture *f = *state;
    start_feed(f, (struct cp_feed_options){0}, NULL);
    watch_refused("{\"kinds\": [\"apps\", \"nope\"]}", GW_INVALID_ARGUMENT, "kinds[1]: is no coll");
    watch_refused("{\"kinds\": [\"ticketKeys\"]}", GW_INVALID_ARGUMENT, "kinds[0]");
    watch_refused("{\"kinds\": [\"apps\", \"apps\"]}", GW_INVALID_ARGUMENT,
                  "kinds[1]: stands twice");
    watch_refused("{\"afterRevision\": -1}", GW_INVALID_ARGUMENT, "after_revision");
    char *long_parent = gw_calloc(1, 700);
    memset(long_parent, 'x', 600);
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    watch_refused(gw_arena_printf(&arena, "{\"parent\": \"%s\"}", long_parent).ptr,
                  GW_INVALID_ARGUMENT, "parent: at most");
    free(long_parent);
    static struct ear many[CP_FEED_READERS_MAX];
    for (size_t i = 0; i < CP_FEED_READERS_MAX; i++) {
        begin_watch(&many[i], "{}");
        (void)hear(&many[i]);
    }
    watch_refused("{}", GW_RESOURCE_EXHAUSTED, "watches are open already");
    for (size_t i = 0; i < CP_FEED_READERS_MAX; i++)
        leave(&many[i]);
    stop_feed();
    watch_refused("{}", GW_UNAVAILABLE, "draining");
    free_feed();
}

/* Who asks for them is told of audit events, in the answer of what was written; others are not. */
static void test_audit_events_are_told_to_who_asks(void **state)
{
    struct fixture *f = *state;
    struct ear all, both, audit;
    f->is_recorded = true;
    start_feed(f, (struct cp_feed_options){0}, NULL);
    begin_watch(&all, "{}");
    begin_watch(&both, "{\"kinds\": [\"auditEvents\", \"apps\"]}");
    begin_watch(&audit, "{\"kinds\": [\"auditEvents\"]}");
    (void)hear(&all), (void)hear(&both), (void)hear(&audit);
    make_app(f, "one");
    refused(f, GW_ALREADY_EXISTS, &cp_app_service, "CreateApp", "{\"appId\": \"one\"}");
    make_app(f, "two");
    pump(f);
    ASSERT_HAS(hear(&all), "apps/one");
    ASSERT_HAS_NOT(all.line, "auditEvents");
    ASSERT_HAS(hear(&all), "apps/two");
    ASSERT_HAS(hear(&both), "CREATED\",\"name\":\"apps/one\",\"app\":{");
    ASSERT_HAS(both.line, "CREATED\",\"name\":\"auditEvents/");
    ASSERT_HAS(both.line, "\"auditEvent\":{\"name\":\"auditEvents/");
    ASSERT_HAS(both.line, "\"resource\":\"apps/one\"");
    ASSERT_HAS(hear(&both), "\"code\":6");
    ASSERT_HAS(hear(&both), "\"name\":\"apps/two\"");
    ASSERT_HAS(hear(&audit), "\"changes\":[{\"resource\":\"apps/one\"");
    ASSERT_HAS_NOT(audit.line, "\"app\"");
    leave(&all);
    leave(&both);
    leave(&audit);
    stop_feed();
    free_feed();
}

/* Every kind of resource can be told of, by a name of its own. */
static void test_every_kind_can_be_watched(void **state)
{
    (void)state;
    for (unsigned id = 0; id < CP_KIND_COUNT; id++) {
        const struct cp_bundle_kind *kind = cp_feed_kind(id);
        if (id == CP_KIND_PUBLICATION)
            continue; /* shown on their API */
        if (id == CP_KIND_TICKET_KEYS || id == CP_KIND_AGENT_AUTHORITY)
            continue; /* no resources */
        if (!kind)
            fail_msg("nobody can watch a %s: more_kinds in feed_change.c", cp_kind_get(id)->noun);
        assert_ptr_equal(cp_feed_kind_called(cp_feed_kind_word(kind)), kind);
        gw_auto(gw_arena_done) struct gw_arena arena = {0};
        assert_non_null(cp_feed_action(&arena, kind).name);
        const ProtobufCMessageDescriptor *event = &penstock__admin__v1__resource_event__descriptor;
        bool is_there = false;
        for (unsigned k = 0; k < event->n_fields; k++)
            is_there |= event->fields[k].descriptor == cp_kind_get(kind->rules->kind)->type;
        if (!is_there)
            fail_msg("no event holds a %s", cp_kind_get(kind->rules->kind)->noun);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_changes_of_what_is_asked_for),
        TEST(test_a_publish_is_told_of_the_api_and_the_release),
        TEST(test_bookmarks_say_how_far_it_is),
        TEST(test_a_watch_goes_on_behind_what_was_heard),
        TEST(test_what_is_forgotten_is_said_so),
        TEST(test_bytes_are_limited_too),
        TEST(test_catching_up_stays_within_the_bytes),
        TEST(test_a_gap_ends_every_watch),
        TEST(test_everybody_sees_what_they_may_read),
        TEST(test_asking_longer_than_the_answer_holds),
        TEST(test_strangers_hold_nobody_up),
        TEST(test_the_end_while_callers_are_unknown),
        TEST(test_requests_that_are_wrong),
        TEST(test_audit_events_are_told_to_who_asks),
        cmocka_unit_test(test_every_kind_can_be_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
