/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * The services over a store in memory. Requests and answers are JSON, as people write them. */
#ifndef CP_SERVICE_TEST_SERVICES_H
#define CP_SERVICE_TEST_SERVICES_H

#include "common/json.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/audit_clean.h"
#include "controlplane/service/context.h"
#include "controlplane/service/services.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct cp_services services;
    struct cp_principal principal;
    struct gw_arena arena;
    struct gw_error err;  /* of the last call that failed */
    struct cp_view *view; /* NULL: everything may be seen */
    bool is_recorded;     /* calls leave audit events, as behind the guard of rpc/method.c */
};

/* GW_OK and the answer as JSON, or the code with f->err; both until the next call. Any thread may
 * have a fixture of its own over the same services. */
static inline enum gw_code call(struct fixture *f, const struct cp_service *service,
                                const char *method, const char *request, gw_str *ret_answer)
{
    gw_arena_reset(&f->arena);
    f->err = GW_ERROR_NONE;
    const struct cp_method *row = NULL;
    for (size_t i = 0; i < service->count; i++)
        if (strcmp(service->methods[i].name, method) == 0)
            row = &service->methods[i];
    const ProtobufCMethodDescriptor *shape =
        protobuf_c_service_descriptor_get_method_by_name(service->descriptor, method);
    if (!row || !shape)
        fail_msg("no method %s", method);
    ProtobufCMessage *message, *reply = NULL;
    if (gw_json_parse(&f->arena, shape->input, gw_str_from(request), &message, &f->err) < 0)
        fail_msg("%s: %s", request, f->err.message);
    struct cp_call call = {.services = &f->services,
                           .arena = &f->arena,
                           .principal = &f->principal,
                           .deadline_ms = INT64_MAX,
                           .view = f->view};
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", service->descriptor->name, method);
    if (f->is_recorded)
        call.audit = cp_audit_begin(&call, path, "ipv4:10.0.0.9:50000", message);
    *ret_answer = GW_STR_NONE;
    int failed = row->run(&call, message, &reply, &f->err);
    cp_audit_end(&call, failed ? &f->err : NULL);
    if (failed) {
        assert_int_not_equal(f->err.code, GW_OK);
        return f->err.code;
    }
    assert_ptr_equal(reply->descriptor, shape->output);
    struct gw_buf out;
    gw_buf_init(&out, 0);
    gw_json_write(&out, reply, GW_JSON_COMPACT);
    *ret_answer = gw_arena_dup(&f->arena, gw_buf_view(&out));
    gw_buf_done(&out);
    return GW_OK;
}

/* The answer; fails the test when there is an error instead. */
static inline const char *ok(struct fixture *f, const struct cp_service *service,
                             const char *method, const char *request)
{
    gw_str answer;
    if (call(f, service, method, request, &answer) != GW_OK)
        fail_msg("%s %s: %s: %s", method, request, gw_code_name(f->err.code), f->err.message);
    return answer.ptr;
}

/* Wants that code. The message and violations are in f->err. */
static inline void refused(struct fixture *f, enum gw_code code, const struct cp_service *service,
                           const char *method, const char *request)
{
    gw_str answer;
    enum gw_code got = call(f, service, method, request, &answer);
    if (got != code)
        fail_msg("%s %s: %s instead of %s: %s%s", method, request, gw_code_name(got),
                 gw_code_name(code), f->err.message, got == GW_OK ? answer.ptr : "");
}

#define ASSERT_HAS(text, part)                                                                     \
    do {                                                                                           \
        const char *has_text = (text);                                                             \
        if (!strstr(has_text, (part)))                                                             \
            fail_msg("%s has no %s", has_text, (part));                                            \
    } while (0)
#define ASSERT_HAS_NOT(text, part) assert_null(strstr((text), (part)))

/* The etag in an answer, with quotes escaped as in JSON. */
static inline const char *etag_of(const char *answer)
{
    static char etag[64];
    const char *at = strstr(answer, "\"etag\":\"");
    if (!at || sscanf(at, "\"etag\":\"%40[^,}]", etag) != 1)
        fail_msg("no etag in %s", answer);
    etag[strlen(etag) - 1] = '\0'; /* the closing quote */
    return etag;
}

static inline bool violates(const struct fixture *f, const char *field)
{
    for (unsigned i = 0; i < f->err.violation_count; i++)
        if (strcmp(f->err.violations[i].field, field) == 0)
            return true;
    return false;
}

static inline int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    f->services = (struct cp_services){
        .ticket_key_rotation_ms = 1000,
        .releases_kept = CP_RELEASES_KEPT_DEFAULT,
        .channel_members_max = CP_CHANNEL_MEMBERS_MAX_DEFAULT,
        .variables_max = CP_VARIABLES_MAX_DEFAULT,
        .audit_retention_ms = 3600000,
        .audit_events_max = CP_AUDIT_EVENTS_MAX_DEFAULT,
        .debug_domain_suffix = CP_DEBUG_DOMAIN_SUFFIX_DEFAULT,
        .seal = cp_seal_new_random(),
    };
    for (enum cp_quota_id id = CP_QUOTA_NONE + 1; id < CP_QUOTA_COUNT; id++)
        f->services.quotas[id] = cp_quota_get(id)->fallback;
    f->services.quotas[CP_QUOTA_APPS] = 0; /* tests make many */
    f->principal = (struct cp_principal){.name = "tester", .role = CP_ROLE_ADMINISTRATOR};
    if (cp_store_open_sqlite(":memory:", &f->services.store, &f->err) < 0 ||
        cp_services_seed(&f->services, &f->err) < 0)
        fail_msg("%s", f->err.message);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    cp_store_close(f->services.store);
    cp_seal_free((struct cp_seal *)(uintptr_t)f->services.seal);
    gw_arena_done(&f->arena);
    free(f);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
