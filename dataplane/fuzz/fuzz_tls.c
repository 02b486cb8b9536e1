/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a caller sends to a port that speaks TLS: each connection ends as one handshake or one
 * failure that is counted, and everything that was made for it goes. Input: a byte that says how
 * much comes in the first piece, in 256ths, and what the caller sends. */
#include "common/message.h"
#include "dataplane/limiter.h"
#include "dataplane/net/test_pem.h"
#include "dataplane/snapshot/compile.h"
#include "dataplane/snapshot/test_endpoints.h"
#include "dataplane/tls/front.h"

#include <errno.h>
#include <openssl/err.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS 8

static struct dp_loop loop;
static struct dp_tls_front *front;
static struct dp_snapshot *snapshot;
static bool is_over; /* the connection */

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void on_readable(struct dp_conn *conn)
{
    ptrdiff_t n = dp_conn_read(conn, 0);
    if (n > 0)
        dp_input_consume(&conn->input, (size_t)n);
    else if (n != -EAGAIN)
        dp_conn_close(conn);
}

static void on_nothing(struct dp_conn *conn)
{
    (void)conn;
}

static void on_failed(struct dp_conn *conn, int error)
{
    (void)error;
    dp_conn_close(conn);
}

static void on_freed(struct dp_conn *conn)
{
    (void)conn;
    is_over = true;
}

static const struct dp_conn_events events = {
    .connected = on_nothing,
    .readable = on_readable,
    .drained = on_nothing,
    .stalled = on_nothing,
    .failed = on_failed,
    .freed = on_freed,
};

/* "a.example.com" and what is below it, with one certificate, and callers' own are asked for. */
static void make_snapshot(void)
{
    static struct dp_compile_env env;
    static struct test_pem pem;
    char host[] = "a.example.com", wild[] = "*.example.com", *domains[] = {host, wild};
    char named[] = "certificates/a", *names[] = {named};
    Penstock__Agent__V1__Certificate certificate = PENSTOCK__AGENT__V1__CERTIFICATE__INIT;
    Penstock__Agent__V1__DomainTls one = PENSTOCK__AGENT__V1__DOMAIN_TLS__INIT, two = one;
    Penstock__Agent__V1__DomainTls *tls[] = {&one, &two};
    Penstock__Agent__V1__Group group = PENSTOCK__AGENT__V1__GROUP__INIT;
    Penstock__Agent__V1__Resource first = PENSTOCK__AGENT__V1__RESOURCE__INIT, second = first;
    Penstock__Agent__V1__Resource *upserts[] = {&first, &second};
    pem = test_pem_make("a", EVP_EC_gen("P-256"));
    certificate.name = named;
    certificate.certificate_pem = certificate.ca_pem = pem.certificate;
    certificate.private_key_pem = pem.key;
    one.host = host, two.host = wild;
    one.certificates = two.certificates = names;
    one.n_certificates = two.n_certificates = 1;
    one.min_version = 1, two.min_version = 2;
    two.verify_client_certificate = true;
    group.name = (char *)"groups/g";
    group.domains = domains, group.n_domains = 2;
    group.tls = tls, group.n_tls = 2;
    first.kind_case = PENSTOCK__AGENT__V1__RESOURCE__KIND_CERTIFICATE;
    first.certificate = &certificate;
    second.kind_case = PENSTOCK__AGENT__V1__RESOURCE__KIND_GROUP;
    second.group = &group;
    struct dp_update update = {GW_STR("c"), 1, 0, upserts, 2, NULL, 0};
    struct dp_refusals refusals;
    struct gw_error err = GW_ERROR_NONE;
    env.limiter = dp_limiter_new(16); /* for as long as the snapshot */
    struct dp_catalog *catalog = dp_catalog_new(&env);
    expect(dp_catalog_apply(catalog, &update, &snapshot, &refusals, &err) == 0 &&
               refusals.count == 0,
           "the snapshot is good");
    dp_catalog_free(catalog);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    static struct dp_ticket_chain keys;
    struct gw_error err = GW_ERROR_NONE;
    (void)signal(SIGPIPE, SIG_IGN);
    expect(dp_loop_init(&loop) == 0, "there is a loop");
    dp_ticket_chain_make(&keys, loop.now_ms);
    make_snapshot();
    struct dp_tls_front_options options = {.loop = &loop, .keys = &keys};
    expect(dp_tls_front_new(&options, &front, &err) == 0, "there is a front");
    dp_tls_front_update(front, snapshot);
    return 0;
}

static uint64_t count_ends(void)
{
    const struct dp_tls_stats *stats = dp_tls_front_stats(front);
    uint64_t count = 0;
    for (unsigned i = 0; i < DP_TLS_VERSIONS; i++)
        count += stats->handshakes[i];
    for (unsigned i = 0; i < DP_TLS_FAILURE_COUNT; i++)
        count += stats->failures[i];
    return count;
}

static void send_piece(int fd, const uint8_t *data, size_t size)
{
    ssize_t n = write(fd, data, size);
    (void)n; /* the other end may have closed */
    for (unsigned i = 0; i < TURNS && !is_over; i++)
        ev_run(loop.ev, EVRUN_NOWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    struct dp_conn conn;
    uint64_t before = count_ends();
    if (size < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        return 0;
    size_t first = (size - 1) * data[0] / 256;
    is_over = false;
    dp_conn_init(&conn, &loop, &events, pair[0]);
    dp_conn_start_tls(&conn, dp_tls_front_accept(front));
    send_piece(pair[1], data + 1, first);
    send_piece(pair[1], data + 1 + first, size - 1 - first);
    dp_conn_close(&conn);
    dp_loop_settle(&loop);
    close(pair[1]);
    expect(is_over, "the connection is freed");
    expect(count_ends() == before + 1, "it counts once");
    expect(ERR_peek_error() == 0, "OpenSSL's errors are cleared");
    return 0;
}
