/* SPDX-License-Identifier: Apache-2.0 */
/* What is held back from which agents. */
#include "controlplane/snapshot/newer.h"

#include "common/message.h"
#include "common/test.h"

#include <stdio.h>

#define ALL (UINT32_MAX & ~CP_KINDS_STRICT)

static struct gw_arena arena;

static gw_str app(const char *name, bool has_addresses)
{
    cp_agent_app *message = CP_AGENT_NEW(&arena, cp_agent_app, app);
    cp_agent_resource *resource = CP_AGENT_NEW(&arena, cp_agent_resource, resource);
    message->name = gw_arena_strdup(&arena, name);
    message->frozen = true;
    if (has_addresses)
        message->ip_access = CP_AGENT_NEW(&arena, cp_agent_ip_access, ip_access);
    resource->kind_case = CP_AGENT_RESOURCE(APP);
    resource->app = message;
    return gw_message_pack(&arena, &resource->base);
}

static void commit(struct cp_image *image, int64_t revision, const char *name, gw_str packed)
{
    struct cp_edit edit = {.name = gw_str_from(name), .packed = packed};
    struct cp_image_change change = {7, revision, &edit, 1, revision == 1};
    cp_image_commit(image, &change);
}

static char held[256];

static void visit(void *arg, gw_str name, int64_t revision, const char *reason)
{
    (void)arg;
    (void)snprintf(held, sizeof(held), "%.*s@%lld: %s", GW_STR_ARG(name), (long long)revision,
                   reason);
}

static void fields_that_came_later_are_found(void **state)
{
    (void)state;
    assert_null(cp_newer_field(app("apps/a", false)));
    assert_string_equal(cp_newer_field(app("apps/a", true)), "App.ip_access");
    assert_null(cp_newer_field(GW_STR("")));
    assert_null(cp_newer_field(GW_STR("\x2a\x7f")));
}

static bool delta_has(struct cp_image *image, int64_t revision, unsigned kinds, const char *name)
{
    struct cp_image_status status;
    cp_image_status(image, &status);
    struct cp_image_base base = {status.cluster_id, revision, 0};
    struct cp_delta *delta = cp_image_delta(image, &base, kinds);
    assert_non_null(delta);
    bool has = memmem(delta->chunks[0].ptr, delta->chunks[0].len, name, strlen(name)) != NULL;
    cp_delta_unref(delta);
    return has;
}

static void what_an_old_agent_would_pass_over_is_not_sent(void **state)
{
    (void)state;
    struct cp_image *image = cp_image_new(10);
    commit(image, 1, "apps/one", app("apps/one", false));
    assert_int_equal(cp_image_held_back(image, ALL, 10, visit, NULL), 0);
    commit(image, 2, "apps/one", app("apps/one", true));
    assert_int_equal(cp_image_held_back(image, ALL, 10, visit, NULL), 1);
    assert_string_equal(held, "apps/one@2: the agent does not know App.ip_access: upgrade it");
    assert_false(delta_has(image, 1, ALL, "apps/one"));
    assert_int_equal(cp_image_held_back(image, ALL | CP_KINDS_STRICT, 10, visit, NULL), 0);
    assert_true(delta_has(image, 1, ALL | CP_KINDS_STRICT, "apps/one"));
    assert_int_equal(cp_image_held_back(image, 1u << CP_AGENT_KIND(GROUP), 10, visit, NULL), 1);
    assert_string_equal(held,
                        "apps/one@2: the agent knows no resources of the kind app: upgrade it");
    commit(image, 3, "apps/one", GW_STR_NONE); /* it had the form before: it hears of the end */
    assert_true(delta_has(image, 2, ALL, "apps/one"));
    assert_int_equal(cp_image_held_back(image, ALL, 10, visit, NULL), 0);
    cp_image_free(image);
}

static int tear_down(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_that_came_later_are_found),
        cmocka_unit_test(what_an_old_agent_would_pass_over_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
