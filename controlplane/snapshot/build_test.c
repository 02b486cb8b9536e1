/* SPDX-License-Identifier: Apache-2.0 */
/* Golden files: testdata/<case>.in.json is what the store holds, <case>.out.json what agents get.
 * After an intended change: controlplane.snapshot.build_test --update, and read the diff. */
#include "controlplane/snapshot/build.h"

#include "controlplane/snapshot/test_state.h"

#include <glob.h>
#include <stdio.h>

#define TESTDATA TEST_SOURCE_DIR "/controlplane/snapshot/testdata/"

static bool is_update;

static void append_built(struct gw_buf *out, const struct cp_state *state, gw_str name)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct gw_error err = GW_ERROR_NONE;
    cp_agent_resource *resource;
    int found = cp_build(state, name, &arena, &resource, &err);
    if (found > 0)
        gw_json_write(out, &resource->base, GW_JSON_PRETTY);
    else if (found < 0)
        assert_false(gw_buf_printf(out, "{\n  \"name\": \"%.*s\",\n  \"refused\": \"%s\"\n}",
                                   GW_STR_ARG(name), err.message));
    else
        assert_false(gw_buf_printf(out, "{\n  \"name\": \"%.*s\",\n  \"absent\": true\n}",
                                   GW_STR_ARG(name)));
    gw_arena_done(&arena);
}

static void build_all(const char *path, struct gw_buf *out)
{
    json_error_t error;
    json_t *input = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!input)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct cp_seal *seal = cp_seal_new_random();
    struct cp_state *state = cp_state_new(seal);
    struct gw_map touched;
    gw_map_init(&touched);
    size_t index;
    json_t *object;
    json_array_foreach(input, index, object) test_put(state, &arena, json_incref(object), &touched);
    gw_str *names = test_sorted(&arena, &touched);
    assert_false(gw_buf_append(out, GW_STR("[\n")));
    for (size_t i = 0; i < touched.count; i++) {
        append_built(out, state, names[i]);
        assert_false(gw_buf_append(out, i + 1 < touched.count ? GW_STR(",\n") : GW_STR("\n")));
    }
    assert_false(gw_buf_append(out, GW_STR("]\n")));
    gw_map_done(&touched);
    cp_state_free(state);
    cp_seal_free(seal);
    gw_arena_done(&arena);
    json_decref(input);
}

static void read_file(const char *path, struct gw_buf *out)
{
    FILE *file = fopen(path, "re");
    if (!file)
        fail_msg("%s is missing; run with --update", path);
    char part[4096];
    size_t got;
    while ((got = fread(part, 1, sizeof(part), file)) > 0)
        assert_false(gw_buf_append(out, gw_str_n(part, got)));
    fclose(file);
}

static void check_case(const char *input)
{
    struct gw_buf built, golden;
    gw_buf_init(&built, 0);
    gw_buf_init(&golden, 0);
    build_all(input, &built);
    char path[512];
    snprintf(path, sizeof(path), "%.*s.out.json", (int)(strlen(input) - strlen(".in.json")), input);
    if (is_update) {
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(gw_buf_view(&built).ptr, 1, gw_buf_len(&built), file),
                         gw_buf_len(&built));
        fclose(file);
    }
    read_file(path, &golden);
    if (!gw_str_eq(gw_buf_view(&built), gw_buf_view(&golden)))
        fail_msg("%s differs; built:\n%.*s", path, GW_STR_ARG(gw_buf_view(&built)));
    gw_buf_done(&built);
    gw_buf_done(&golden);
}

static void test_golden_files(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(TESTDATA "*.in.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_case(found.gl_pathv[i]);
    globfree(&found);
}

static void test_kind_by_name(void **state)
{
    (void)state;
    assert_int_equal(cp_build_kind(GW_STR("groups/a")), CP_AGENT_KIND(GROUP));
    assert_int_equal(cp_build_kind(GW_STR("groups/a/apis/b@RELEASE")), CP_AGENT_KIND(ROUTE));
    assert_int_equal(cp_build_kind(GW_STR("channels/a")), CP_AGENT_KIND(CHANNEL));
    assert_int_equal(cp_build_kind(GW_STR("policies/a")), CP_AGENT_KIND(POLICY));
    assert_int_equal(cp_build_kind(GW_STR("apps/a")), CP_AGENT_KIND(APP));
    assert_int_equal(cp_build_kind(GW_STR("certificates/a")), CP_AGENT_KIND(CERTIFICATE));
}

static void test_unreadable_value_is_refused(void **state)
{
    (void)state;
    struct cp_state *resources = cp_state_new(NULL);
    struct gw_map touched;
    gw_map_init(&touched);
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct gw_error err = GW_ERROR_NONE;
    gw_str key = cp_key_of(&arena, CP_KIND_CHANNEL, "channels/broken");
    assert_int_equal(cp_state_put(resources, key, GW_STR("\xff\xff\xff"), 3, &touched, &err), 0);
    cp_agent_resource *resource;
    assert_int_equal(cp_build(resources, GW_STR("channels/broken"), &arena, &resource, &err), -1);
    assert_non_null(strstr(err.message, "cannot be read"));
    gw_arena_done(&arena);
    gw_map_done(&touched);
    cp_state_free(resources);
}

int main(int argc, char **argv)
{
    is_update = argc > 1 && strcmp(argv[1], "--update") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_files),
        cmocka_unit_test(test_kind_by_name),
        cmocka_unit_test(test_unreadable_value_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
