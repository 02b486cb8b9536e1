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

static const struct dp_ticket_seed seed = {.bytes = "the same for all", .born_ms = 1000};

static void begin(struct side *side)
{
    struct gw_error err = GW_ERROR_NONE;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    assert_int_equal(dp_tickets_init(&side->tickets, NULL, &seed, &err), 0);
    side->cipher = EVP_CIPHER_CTX_new();
    side->mac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
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
    dp_tickets_advance(&two.tickets, 1000);
    assert_int_equal(open_ticket(&two, seal(&one)), 1);
    end(&one), end(&two);
}

static void a_key_of_the_process_opens_for_an_hour_more(void **state)
{
    (void)state;
    struct side side;
    gw_msec now = 1000;
    begin(&side);
    dp_tickets_advance(&side.tickets, now);
    struct ticket ticket = seal(&side);
    dp_tickets_advance(&side.tickets, now += DP_TICKET_LIFE_MS - 1);
    assert_int_equal(open_ticket(&side, ticket), 1);
    dp_tickets_advance(&side.tickets, now += 1);
    assert_int_equal(open_ticket(&side, ticket), 2);
    dp_tickets_advance(&side.tickets, now += DP_TICKET_LIFE_MS);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_draw_the_same_keys),
        cmocka_unit_test(a_key_of_the_process_opens_for_an_hour_more),
        cmocka_unit_test(keys_of_the_control_plane_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
