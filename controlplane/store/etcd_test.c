/* SPDX-License-Identifier: Apache-2.0 */
/* What only etcd can do wrong; the contract itself is store_test.c's. */
#include "controlplane/store/etcd_fixture.h"

static gw_str value_of(struct cp_store *store, const char *key, struct gw_arena *arena)
{
    struct cp_found found;
    struct gw_error err;
    if (cp_store_get(store, gw_str_from(key), arena, &found, &err))
        fail_msg("%s", err.message);
    return found.kv.value;
}

static int64_t count_marks(struct cp_store *store)
{
    struct gw_arena arena = {0};
    struct gw_buf body = {0};
    struct gw_error err;
    struct etcd_answer answer;
    etcd_write(&body, "{\"count_only\":true,");
    etcd_write_range(&body, GW_STR(ETCD_MARK_PREFIX), GW_STR_NONE);
    etcd_write(&body, "}");
    struct etcd_request request = {.path = "/v3/kv/range", .body = gw_buf_view(&body)};
    assert_int_equal(etcd_call(etcd_of(store), &request, &arena, &answer, &err), ETCD_ANSWERED);
    gw_buf_done(&body);
    gw_arena_done(&arena);
    return answer.counts[0];
}

static void long_answers_come_in_smaller_pages(void **state)
{
    (void)state;
    struct node node;
    struct gw_arena arena = {0};
    struct gw_error err;
    struct cp_page page = {.more = true};
    struct cp_range range = {.prefix = GW_STR("/penstock/v1/")};
    unsigned seen = 0, pages = 0;
    char text[1001];
    struct cp_store *store = node_up(&node);
    memset(text, 'v', 1000);
    text[1000] = '\0';
    for (unsigned i = 0; i < 10; i++) {
        char key[32];
        snprintf(key, sizeof(key), "/penstock/v1/%u", i);
        store_put(store, key, text);
    }
    etcd_of(store)->answer_bytes_max = 4096; /* of some 1,500 each */
    for (; page.more; pages++) {
        if (cp_store_list(store, &range, &arena, &page, &err))
            fail_msg("%s", err.message);
        for (size_t i = 0; i < page.count; i++, seen++)
            assert_int_equal(page.kvs[i].key.ptr[page.kvs[i].key.len - 1], '0' + (char)seen);
        range.after_key = page.kvs[page.count - 1].key;
        range.at_revision = page.at.revision;
    }
    assert_int_equal(seen, 10);
    assert_true(pages > 1);
    etcd_of(store)->answer_bytes_max = 1000;
    range.after_key = GW_STR_NONE;
    assert_int_equal(cp_store_list(store, &range, &arena, &page, &err), -1);
    assert_int_equal(err.code, GW_RESOURCE_EXHAUSTED);
    gw_arena_done(&arena);
    cp_store_close(store);
    node_done(&node);
}

static void long_answers_are_read_in_parts(void **state)
{
    (void)state;
    struct node node;
    struct gw_arena arena = {0};
    struct gw_error err;
    struct cp_found found[10];
    gw_str keys[10];
    char text[1001];
    node_init(&node);
    node.extra[0] = "--max-txn-ops=7";
    node_start(&node);
    struct cp_store *store = store_open(&(struct cp_etcd_options){.endpoints = node.url});
    store_wait(store);
    memset(text, 'v', 1000);
    text[1000] = '\0';
    for (unsigned i = 0; i < 10; i++) {
        keys[i] = gw_arena_printf(&arena, "/penstock/v1/%u", i);
        store_put(store, keys[i].ptr, text);
    }
    etcd_of(store)->answer_bytes_max = 4096; /* of some 1,500 each */
    if (cp_store_get_all(store, keys, 10, &arena, found, &err))
        fail_msg("%s", err.message);
    for (unsigned i = 0; i < 10; i++)
        assert_true(found[i].found && gw_str_eq(found[i].kv.key, keys[i]));
    etcd_of(store)->answer_bytes_max = 1000;
    assert_int_equal(cp_store_get_all(store, keys, 10, &arena, found, &err), -1);
    assert_int_equal(err.code, GW_RESOURCE_EXHAUSTED);
    gw_arena_done(&arena);
    cp_store_close(store);
    node_done(&node);
}

static void endpoints_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ",", "127.0.0.1:2379", "ftp://a", "http://a,b"};
    struct cp_store *store;
    struct gw_error err;
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct cp_etcd_options options = {.endpoints = bad[i]};
        assert_int_equal(cp_store_open_etcd(&options, &store, &err), -1);
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    }
}

static void nobody_there_is_unavailable(void **state)
{
    (void)state;
    char url[64];
    struct gw_error err;
    struct cp_position at;
    struct cp_commit commit;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port_free());
    struct cp_store *store = store_open(&(struct cp_etcd_options){.endpoints = url});
    assert_int_equal(cp_store_ping(store, &at, &err), -1);
    assert_int_equal(err.code, GW_UNAVAILABLE);
    assert_int_equal(try_put(store, "/penstock/v1/a", "x", &commit, &err), -1);
    assert_int_equal(err.code, GW_UNAVAILABLE);
    assert_string_equal(err.reason, CP_STORE_AWAY); /* it was never sent */
    cp_store_close(store);
}

static void marks_are_hidden_and_swept(void **state)
{
    (void)state;
    struct node node;
    struct gw_arena arena = {0};
    struct gw_error err;
    struct cp_page page;
    int64_t count;
    struct cp_store *store = node_up(&node);
    store_put(store, "/a", "1");
    store_put(store, "/penstock/v1/b", "2");
    store_put(store, "/z", "3");
    assert_int_equal(count_marks(store), 1); /* one after another: one mark */

    struct cp_range range = {.limit = 1};
    const char *const want[] = {"/a", "/penstock/v1/b", "/z"};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cp_store_list(store, &range, &arena, &page, &err), 0);
        assert_int_equal(page.count, 1);
        assert_str(page.kvs[0].key, want[i]);
        assert_true(page.more == (i < 2));
        range.after_key = page.kvs[0].key;
    }
    assert_int_equal(cp_store_count(store, GW_STR_NONE, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(cp_store_count(store, GW_STR("/penstock/"), &count, &err), 0);
    assert_int_equal(count, 1);

    assert_int_equal(cp_store_compact(store, 0, &err), 0);
    assert_int_equal(count_marks(store), 0);
    store_put(store, "/a", "4"); /* the mark is made anew */
    assert_str(value_of(store, "/a", &arena), "4");
    assert_int_equal(cp_store_compact(store, 1000, &err), 0);
    assert_int_equal(count_marks(store), 1);
    gw_arena_done(&arena);
    cp_store_close(store);
    node_done(&node);
}

static void dead_endpoint_is_passed_over(void **state)
{
    (void)state;
    struct node node;
    char urls[160];
    struct gw_error err;
    struct cp_commit commit;
    struct gw_arena arena = {0};
    cp_store_close(node_up(&node));
    snprintf(urls, sizeof(urls), "http://127.0.0.1:%d/, %s/", port_free(), node.url);
    struct cp_store *store = store_open(&(struct cp_etcd_options){.endpoints = urls});
    assert_int_equal(try_put(store, "/penstock/v1/a", "x", &commit, &err), 0);
    assert_true(commit.committed);
    assert_str(value_of(store, "/penstock/v1/a", &arena), "x");
    gw_arena_done(&arena);
    cp_store_close(store);
    node_done(&node);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void enable_auth(struct cp_store *store)
{
    ask_etcd(store, "/v3/auth/user/add", "{\"name\":\"root\",\"password\":\"r\"}");
    ask_etcd(store, "/v3/auth/role/add", "{\"name\":\"root\"}");
    ask_etcd(store, "/v3/auth/user/grant", "{\"user\":\"root\",\"role\":\"root\"}");
    ask_etcd(store, "/v3/auth/user/add", "{\"name\":\"pen\",\"password\":\"s\\\"ecret\"}");
    ask_etcd(store, "/v3/auth/role/add", "{\"name\":\"pen\"}");
    /* all of /penstock/ */
    ask_etcd(store, "/v3/auth/role/grant",
             "{\"name\":\"pen\",\"perm\":{\"permType\":\"READWRITE\",\"key\":\"L3BlbnN0b2NrLw==\","
             "\"range_end\":\"L3BlbnN0b2NrMA==\"}}");
    ask_etcd(store, "/v3/auth/user/grant", "{\"user\":\"pen\",\"role\":\"pen\"}");
    ask_etcd(store, "/v3/auth/enable", "{}");
}

static void user_and_password(void **state)
{
    (void)state;
    struct node node;
    char path[96];
    struct gw_error err;
    struct cp_position at;
    struct cp_commit commit;
    struct cp_store *anonymous = node_up(&node);
    enable_auth(anonymous);
    assert_int_equal(cp_store_ping(anonymous, &at, &err), -1);
    assert_int_equal(err.code, GW_UNAVAILABLE);
    assert_string_equal(err.reason, "STORE_REFUSED");
    cp_store_close(anonymous);

    snprintf(path, sizeof(path), "%s/password", node.dir);
    write_file(path, "wrong\n");
    struct cp_store *store = store_open(
        &(struct cp_etcd_options){.endpoints = node.url, .user = "pen", .password_file = path});
    assert_int_equal(cp_store_ping(store, &at, &err), -1);
    assert_string_equal(err.reason, "STORE_REFUSED");
    assert_null(strstr(err.message, "wrong"));
    write_file(path, "s\"ecret\n"); /* rotated: no restart is needed */
    assert_int_equal(cp_store_ping(store, &at, &err), 0);
    store_put(store, "/penstock/v1/a", "1");
    assert_int_equal(try_put(store, "/other", "1", &commit, &err), -1);
    assert_string_equal(err.reason, "STORE_REFUSED");
    assert_non_null(strstr(err.message, "permission denied"));

    node_stop(&node, SIGKILL); /* etcd's simple tokens do not outlive it */
    node_start(&node);
    store_wait(store);
    store_put(store, "/penstock/v1/a", "2");
    cp_store_close(store);
    node_done(&node);
}

static void openssl_run(const char *dir, const char *command)
{
    char line[1024];
    snprintf(line, sizeof(line), "cd %s && (%s) >tls.log 2>&1", dir, command);
    if (system(line))
        fail_msg("%s", command);
}

/* The gateway uses the server's certificate as a client, too. Ours must have no CN. */
static void make_certificates(const char *dir)
{
    openssl_run(dir, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                     "-keyout ca.key -out ca.pem -subj /CN=ca");
    openssl_run(dir,
                "printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n'"
                " >server.ext; printf 'subjectAltName=URI:penstock\n"
                "extendedKeyUsage=clientAuth\n' >client.ext");
    static const char sign[] =
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key -out %s.csr "
        "-subj /O=%s && openssl x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
        "-days 2 -extfile %s.ext -out %s.pem";
    for (unsigned i = 0; i < 2; i++) {
        char line[512];
        const char *name = i ? "client" : "server";
        snprintf(line, sizeof(line), sign, name, name, name, name, name, name);
        openssl_run(dir, line);
    }
}

static void tls_with_client_certificates(void **state)
{
    (void)state;
    struct node node;
    char paths[5][96];
    static const char *const files[] = {"ca.pem", "server.pem", "server.key", "client.pem",
                                        "client.key"};
    struct gw_error err;
    struct cp_position at;
    node_init(&node);
    make_certificates(node.dir);
    for (unsigned i = 0; i < 5; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", node.dir, files[i]);
    snprintf(node.url, sizeof(node.url), "https://127.0.0.1:%d", node.port);
    const char *extra[] = {"--client-cert-auth",
                           "--trusted-ca-file",
                           paths[0],
                           "--cert-file",
                           paths[1],
                           "--key-file",
                           paths[2]};
    memcpy(node.extra, extra, sizeof(extra));
    node_start(&node);

    struct cp_etcd_options options = {
        .endpoints = node.url, .ca_file = paths[0], .cert_file = paths[3], .key_file = paths[4]};
    struct cp_store *store = store_open(&options);
    store_wait(store);
    store_put(store, "/penstock/v1/a", "1");
    struct cp_watch *watch;
    struct cp_batch batch;
    struct gw_arena arena = {0};
    assert_int_equal(
        cp_watch_open(store, GW_STR("/penstock/v1/"), (struct cp_position){0, 1}, &watch, &err), 0);
    do
        assert_int_equal(cp_watch_next(watch, WAIT_MS, &arena, &batch, &err), CP_WATCH_LIVE);
    while (batch.count == 0);
    assert_str(batch.events[0].kv.key, "/penstock/v1/a");
    cp_watch_close(watch);
    gw_arena_done(&arena);
    cp_store_close(store);

    options.cert_file = options.key_file = NULL;
    store = store_open(&options);
    assert_int_equal(cp_store_ping(store, &at, &err), -1);
    assert_int_equal(err.code, GW_UNAVAILABLE);
    cp_store_close(store);
    options.ca_file = NULL; /* not one that the system trusts */
    store = store_open(&options);
    assert_int_equal(cp_store_ping(store, &at, &err), -1);
    assert_int_equal(err.code, GW_UNAVAILABLE);
    cp_store_close(store);
    node_done(&node);
}

static void full_store_says_so(void **state)
{
    (void)state;
    struct node node;
    static char value[512 * 1024];
    struct gw_error err = GW_ERROR_NONE;
    struct cp_commit commit;
    node_init(&node);
    node.extra[0] = "--quota-backend-bytes=4194304";
    node_start(&node);
    struct cp_store *store = store_open(&(struct cp_etcd_options){.endpoints = node.url});
    store_wait(store);
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 100 && !err.code; i++)
        (void)!try_put(store, "/penstock/v1/a", value, &commit, &err);
    assert_int_equal(err.code, GW_RESOURCE_EXHAUSTED);
    struct gw_arena arena = {0};
    struct cp_found found[2];
    const gw_str keys[] = {GW_STR("/penstock/v1/a"), GW_STR("/penstock/v1/b")};
    if (cp_store_get_all(store, keys, 2, &arena, found, &err)) /* reading goes on */
        fail_msg("%s", err.message);
    assert_true(found[0].found && !found[1].found);
    gw_arena_done(&arena);
    cp_store_close(store);
    node_done(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_checked),
        cmocka_unit_test(nobody_there_is_unavailable),
        cmocka_unit_test(long_answers_come_in_smaller_pages),
        cmocka_unit_test(long_answers_are_read_in_parts),
        cmocka_unit_test(marks_are_hidden_and_swept),
        cmocka_unit_test(dead_endpoint_is_passed_over),
        cmocka_unit_test(user_and_password),
        cmocka_unit_test(tls_with_client_certificates),
        cmocka_unit_test(full_store_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
