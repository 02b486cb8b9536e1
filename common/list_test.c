/* SPDX-License-Identifier: Apache-2.0 */
#include "common/list.h"
#include "common/test.h"

struct item {
    char name;
    struct gw_list node;
};

static void assert_order(struct gw_list *head, const char *want)
{
    char got[16] = "";
    size_t n = 0;
    gw_list_each(head, it) got[n++] = gw_container_of(it, struct item, node)->name;
    assert_string_equal(got, want);
    n = 0;
    for (struct gw_list *it = head->prev; it != head; it = it->prev)
        n++;
    assert_int_equal(n, strlen(want));
}

static void push_insert_remove(void **state)
{
    (void)state;
    struct gw_list head;
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'}, d = {.name = 'd'};
    gw_list_init(&head);
    assert_true(gw_list_is_empty(&head));
    gw_list_push(&head, &b.node);
    gw_list_push(&head, &d.node);
    gw_list_push_front(&head, &a.node);
    gw_list_insert(&d.node, &c.node);
    assert_order(&head, "abcd");
    gw_list_remove(&b.node);
    gw_list_remove(&b.node);
    assert_true(gw_list_is_empty(&b.node));
    assert_order(&head, "acd");
    gw_list_remove(&a.node);
    gw_list_remove(&d.node);
    assert_order(&head, "c");
    gw_list_remove(&c.node);
    assert_true(gw_list_is_empty(&head));
}

static void the_current_one_may_go(void **state)
{
    (void)state;
    struct gw_list head;
    struct item items[5];
    gw_list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].name = (char)('0' + i);
        gw_list_push(&head, &items[i].node);
    }
    gw_list_each(&head, it) if ((gw_container_of(it, struct item, node)->name - '0') % 2 == 0)
        gw_list_remove(it);
    assert_order(&head, "13");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_insert_remove),
        cmocka_unit_test(the_current_one_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
