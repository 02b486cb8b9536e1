/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tls/tickets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TEXT "a session"

/* A worker's keys, and what OpenSSL gives with each question. */
struct side {
    struct dp_tickets tickets;
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;
};

static struct dp_ticket_chain chain; /* of the process */

static void begin_with(struct side *side, const struct dp_ticket_chain *own)
{
    struct gw_error err = GW_ERROR_NONE;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    assert_int_equal(dp_tickets_init(&side->tickets, NULL, own, &err), 0);
    side->cipher = EVP_CIPHER_CTX_new();
    side->mac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
}

static void begin(struct side *side)
{
    begin_with(side, &chain);
}

static void end(struct side *side)
{
    EVP_CIPHER_CTX_free(side->cipher);
    EVP_MAC_CTX_free(side->mac);
    dp_tickets_done(&side->tickets);
}

struct ticket {
    unsigned char name[16], iv[16], text[64];
    int len;
};

static struct ticket seal(struct side *side)
{
    struct ticket ticket;
    int last;
    assert_int_equal(
        dp_tickets_choose(&side->tickets, ticket.name, ticket.iv, side->cipher, side->mac, 1), 1);
    EVP_EncryptUpdate(side->cipher, ticket.text, &ticket.len, (const unsigned char *)TEXT,
                      sizeof(TEXT));
    assert_int_equal(EVP_EncryptFinal_ex(side->cipher, ticket.text + ticket.len, &last), 1);
    ticket.len += last;
    return ticket;
}

/* 0: no key; 1: opened; 2: opened, and the caller gets another one. */
static int open_ticket(struct side *side, struct ticket ticket)
{
    unsigned char text[64];
    int len, last;
    int result =
        dp_tickets_choose(&side->tickets, ticket.name, ticket.iv, side->cipher, side->mac, 0);
    if (result <= 0)
        return result;
    EVP_DecryptUpdate(side->cipher, text, &len, ticket.text, ticket.len);
    assert_int_equal(EVP_DecryptFinal_ex(side->cipher, text + len, &last), 1);
    assert_string_equal((char *)text, TEXT);
    return result;
}

static void workers_draw_the_same_keys(void **state)
{
    (void)state;
    struct side one, two;
    begin(&one), begin(&two);
    for (gw_msec hour = 0; hour < 3; hour++) {
        dp_ticket_chain_advance(&two.tickets.own, 1000 + hour * DP_TICKET_LIFE_MS);
        dp_ticket_chain_advance(&one.tickets.own, 1000 + hour * DP_TICKET_LIFE_MS);
        assert_int_equal(open_ticket(&two, seal(&one)), 1);
    }
    assert_int_equal(open_ticket(&two, seal(&one)), 1);
    end(&one), end(&two);
}

static void a_key_of_the_process_opens_for_an_hour_more(void **state)
{
    (void)state;
    struct side side;
    gw_msec now = 1000;
    begin(&side);
    dp_ticket_chain_advance(&side.tickets.own, now);
    struct ticket ticket = seal(&side);
    dp_ticket_chain_advance(&side.tickets.own, now += DP_TICKET_LIFE_MS - 1);
    assert_int_equal(open_ticket(&side, ticket), 1);
    dp_ticket_chain_advance(&side.tickets.own, now += 1);
    assert_int_equal(open_ticket(&side, ticket), 2);
    dp_ticket_chain_advance(&side.tickets.own, now += DP_TICKET_LIFE_MS);
    assert_int_equal(open_ticket(&side, ticket), 0);
    end(&side);
}

static void keys_of_the_control_plane_come_first(void **state)
{
    (void)state;
    const struct dp_ticket_key keys[] = {{.name = "new", .aes = "n"}, {.name = "old", .aes = "o"}};
    struct side side;
    begin(&side);
    struct ticket own = seal(&side);
    side.tickets.given = (struct dp_ticket_keys){keys + 1, 1};
    struct ticket old = seal(&side);
    assert_memory_equal(old.name, "old", 4);
    side.tickets.given = (struct dp_ticket_keys){keys, 2};
    assert_int_equal(open_ticket(&side, seal(&side)), 1);
    assert_int_equal(open_ticket(&side, old), 2);
    assert_int_equal(open_ticket(&side, own), 2); /* from before they came */
    side.tickets.given = (struct dp_ticket_keys){keys, 1};
    assert_int_equal(open_ticket(&side, old), 0);
    end(&side);
}

static void another_process_goes_on_with_the_keys(void **state)
{
    (void)state;
    struct side before, after;
    struct dp_ticket_chain taken;
    gw_msec now = 1000 + DP_TICKET_LIFE_MS / 2;
    begin(&before);
    struct ticket ticket = seal(&before);
    gw_str bytes = gw_str_n((const char *)&before.tickets.own, DP_TICKET_CHAIN_BYTES);
    assert_int_equal(dp_ticket_chain_take(&taken, bytes, now), 0);
    begin_with(&after, &taken);
    assert_int_equal(open_ticket(&after, ticket), 1);
    dp_ticket_chain_advance(&before.tickets.own, now += DP_TICKET_LIFE_MS);
    dp_ticket_chain_advance(&after.tickets.own, now);
    assert_int_equal(open_ticket(&after, ticket), 2);
    assert_int_equal(open_ticket(&before, seal(&after)), 1);
    end(&before), end(&after);
}

static void what_are_no_keys_is_not_taken(void **state)
{
    (void)state;
    struct dp_ticket_chain taken;
    gw_str bytes = gw_str_n((const char *)&chain, DP_TICKET_CHAIN_BYTES);
    assert_int_equal(dp_ticket_chain_take(&taken, GW_STR_NONE, 1000), -1);
    assert_int_equal(dp_ticket_chain_take(&taken, gw_str_n(bytes.ptr, bytes.len - 1), 1000), -1);
    assert_int_equal(dp_ticket_chain_take(&taken, bytes, 1000 - 1), -1); /* of another clock */
    assert_int_equal(dp_ticket_chain_take(&taken, bytes, 1001 + 2 * DP_TICKET_LIFE_MS), -1);
    assert_int_equal(dp_ticket_chain_take(&taken, bytes, 1000), 0);
}

int main(void)
{
    dp_ticket_chain_make(&chain, 1000);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_draw_the_same_keys),
        cmocka_unit_test(another_process_goes_on_with_the_keys),
        cmocka_unit_test(what_are_no_keys_is_not_taken),
        cmocka_unit_test(a_key_of_the_process_opens_for_an_hour_more),
        cmocka_unit_test(keys_of_the_control_plane_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
