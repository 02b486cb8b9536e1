/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/kinds.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void kinds_are_found_by_all_their_words(void **state)
{
    (void)state;
    static const char *const words[] = {"Api", "apis", "api", "APIS"};
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++)
        assert_string_equal(cp_kind_find(gw_str_from(words[i]))->word, "Api");
    assert_null(cp_kind_find(GW_STR("route")));
}

static void a_name_tells_its_kind(void **state)
{
    (void)state;
    assert_string_equal(cp_kind_of_name(GW_STR("groups/g"))->word, "ApiGroup");
    assert_string_equal(cp_kind_of_name(GW_STR("groups/g/apis/a"))->word, "Api");
    assert_string_equal(cp_kind_of_name(GW_STR("policies/p/bindings/b"))->word, "PolicyBinding");
    assert_null(cp_kind_of_name(GW_STR("groups/g/apis")));
    assert_null(cp_kind_of_name(GW_STR("groups//apis/a")));
    assert_null(cp_kind_of_name(GW_STR("")));
}

static void names_may_be_typed_short(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *typed, *name; /* name NULL: refused */
    } cases[] = {
        {"api", "g/a", "groups/g/apis/a"},
        {"api", "groups/g/apis/a", "groups/g/apis/a"},
        {"group", "g", "groups/g"},
        {"code", "shop/main", "apps/shop/codes/main"},
        {"api", "g", NULL},
        {"api", "g/a/b", NULL},
        {"group", "", NULL},
        {"api", "g/", NULL},
    };
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_error err = GW_ERROR_NONE;
        gw_str name;
        int result = cp_kind_name(cp_kind_find(gw_str_from(cases[i].kind)),
                                  gw_str_from(cases[i].typed), &arena, &name, &err);
        assert_int_equal(result, cases[i].name ? 0 : -1);
        if (cases[i].name)
            assert_true(gw_str_eq(name, gw_str_from(cases[i].name)));
        else
            assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    }
    gw_arena_done(&arena);
}

static void names_split_into_parent_and_id(void **state)
{
    (void)state;
    gw_str parent, id;
    cp_kind_split(GW_STR("groups/g/apis/a"), &parent, &id);
    assert_true(gw_str_eq(parent, GW_STR("groups/g")));
    assert_true(gw_str_eq(id, GW_STR("a")));
    cp_kind_split(GW_STR("groups/g"), &parent, &id);
    assert_int_equal(parent.len, 0);
    assert_true(gw_str_eq(id, GW_STR("g")));
}

/* The rows name methods and columns by text: each must be there. */
static void every_row_fits_its_protos(void **state)
{
    (void)state;
    for (unsigned i = 0; i < cp_ctl_kind_count; i++) {
        const struct cp_ctl_kind *kind = &cp_ctl_kinds[i];
        bool is_report = strcmp(kind->word, "StaleRelease") == 0; /* only listed */
        assert_int_equal(cp_kind_method(kind, "Get") == NULL, is_report);
        bool is_single = !strchr(kind->pattern, '{'); /* there is one */
        assert_int_equal(cp_kind_method(kind, "List") == NULL, is_single);
        assert_non_null(protobuf_c_message_descriptor_get_field_by_name(kind->message, "name"));
        for (unsigned j = 0; j < CP_COLUMNS_MAX && kind->columns[j].field; j++) {
            char first[64] = "";
            gw_str rest = gw_str_from(kind->columns[j].field), word = gw_str_split(&rest, '.');
            memcpy(first, word.ptr, word.len);
            if (strcmp(first, "kind") != 0)
                assert_non_null(
                    protobuf_c_message_descriptor_get_field_by_name(kind->message, first));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_found_by_all_their_words),
        cmocka_unit_test(a_name_tells_its_kind),
        cmocka_unit_test(names_may_be_typed_short),
        cmocka_unit_test(names_split_into_parent_and_id),
        cmocka_unit_test(every_row_fits_its_protos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
