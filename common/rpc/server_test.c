/* SPDX-License-Identifier: Apache-2.0 */
/* Where a server listens, and TLS: who may connect, and certificates that change. */
#include "common/rpc/fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHO "/test.Text/Who"

static char folder[64];
static struct fixture fixture;

static int tell_name(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                     const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                     struct gw_error *err)
{
    (void)context, (void)request, (void)err;
    bool has_pem = gw_str_has_prefix(caller->cert_pem, GW_STR("-----BEGIN CERTIFICATE"));
    assert_true(has_pem == (caller->cert_name != NULL));
    *ret_reply = new_text(arena, caller->cert_name ? caller->cert_name : "nobody");
    return 0;
}

static const struct gw_rpc_method methods[] = {
    {.path = WHO, .request = TEXT_TYPE, .reply = TEXT_TYPE, .unary = tell_name},
};

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

static void make_ca(const char *name)
{
    char command[512];
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
             " -keyout %s.key -out %s.pem -subj '/CN=%s' -days 2 2>openssl.log",
             name, name, name);
    run(command);
}

/* san: "DNS:localhost,IP:127.0.0.1", "URI:spiffe://...", or "" for none. */
static void make_certificate(const char *ca, const char *name, const char *san)
{
    char command[1024];
    snprintf(command, sizeof(command),
             "{ [ -z '%s' ] || echo 'subjectAltName=%s'; } >%s.ext &&"
             " openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key"
             " -out %s.csr -subj '/CN=%s' 2>openssl.log &&"
             " openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days 1"
             " -extfile %s.ext -out %s.pem 2>>openssl.log",
             san, san, name, name, name, name, name, ca, ca, name, name);
    run(command);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/gw_rpc_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0); /* so that file names are plain words */
    make_ca("ca");
    make_ca("ca2");
    make_certificate("ca", "server", "DNS:localhost,IP:127.0.0.1");
    make_certificate("ca2", "server2", "DNS:localhost,IP:127.0.0.1");
    make_certificate("ca", "agent", "URI:spiffe://penstock/agent/a1,DNS:a1.local");
    make_certificate("ca", "plain", "");
    make_certificate("ca2", "stranger", "DNS:a1.local");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    run(command);
    return 0;
}

static void start_tls(bool ask, bool require)
{
    fixture_start(&fixture,
                  (struct gw_rpc_server_options){.cert_file = "server.pem",
                                                 .key_file = "server.key",
                                                 .client_ca_file = ask ? "ca.pem" : NULL,
                                                 .client_cert_required = require},
                  methods, GW_ARRAY_LEN(methods));
}

/* The name that the server sees of a client with this certificate (NULL: none); NULL when it is not
 * let in. */
static const char *ask_as(const char *ca, const char *name, enum gw_code *ret_code)
{
    char cert[128] = "", key[128] = "";
    if (name) {
        snprintf(cert, sizeof(cert), "%s.pem", name);
        snprintf(key, sizeof(key), "%s.key", name);
    }
    struct gw_rpc_client *client =
        new_client((struct gw_rpc_client_options){.target = fixture.target,
                                                  .ca_file = ca,
                                                  .cert_file = name ? cert : NULL,
                                                  .key_file = name ? key : NULL});
    struct gw_error err;
    const char *who = call_text(client, &fixture.arena, WHO, "", TIMEOUT_MS, &err);
    *ret_code = err.code;
    gw_rpc_client_close(client);
    return who;
}

static void test_server_certificate_is_verified(void **state)
{
    (void)state;
    enum gw_code code;
    start_tls(false, false);
    assert_string_equal(ask_as("ca.pem", NULL, &code), "nobody");
    assert_null(ask_as("ca2.pem", NULL, &code));
    assert_int_equal(code, GW_UNAVAILABLE);
    fixture_stop(&fixture);
}

static void test_client_certificates_that_are_required(void **state)
{
    (void)state;
    enum gw_code code;
    start_tls(true, true);
    assert_string_equal(ask_as("ca.pem", "agent", &code), "spiffe://penstock/agent/a1");
    assert_string_equal(ask_as("ca.pem", "server", &code), "localhost");
    assert_string_equal(ask_as("ca.pem", "plain", &code), "plain");
    assert_null(ask_as("ca.pem", NULL, &code));
    assert_int_equal(code, GW_UNAVAILABLE);
    assert_null(ask_as("ca.pem", "stranger", &code));
    assert_int_equal(code, GW_UNAVAILABLE);
    fixture_stop(&fixture);
}

static void test_client_certificates_that_are_optional(void **state)
{
    (void)state;
    enum gw_code code;
    start_tls(true, false);
    assert_string_equal(ask_as("ca.pem", "agent", &code), "spiffe://penstock/agent/a1");
    assert_string_equal(ask_as("ca.pem", NULL, &code), "nobody");
    assert_null(ask_as("ca.pem", "stranger", &code));
    fixture_stop(&fixture);
}

static void replace(const char *name, const char *by)
{
    assert_int_equal(rename(by, name), 0);
}

static void copy(const char *from, const char *to)
{
    char command[300];
    snprintf(command, sizeof(command), "cp %s %s", from, to);
    run(command);
}

static void test_certificates_change_under_a_live_server(void **state)
{
    (void)state;
    enum gw_code code;
    copy("server.pem", "live.pem");
    copy("server.key", "live.key");
    fixture_start(&fixture,
                  (struct gw_rpc_server_options){.cert_file = "live.pem", .key_file = "live.key"},
                  methods, GW_ARRAY_LEN(methods));
    assert_non_null(ask_as("ca.pem", NULL, &code));
    replace("live.pem", "server2.pem"); /* half of it: they do not fit */
    assert_non_null(ask_as("ca.pem", NULL, &code));
    replace("live.key", "server2.key");
    assert_non_null(ask_as("ca2.pem", NULL, &code));
    assert_null(ask_as("ca.pem", NULL, &code));
    assert_int_equal(unlink("live.pem"), 0); /* a bad edit keeps the last good */
    assert_non_null(ask_as("ca2.pem", NULL, &code));
    fixture_stop(&fixture);
}

static enum gw_code start_fails(struct gw_rpc_server_options options)
{
    struct gw_error err = GW_ERROR_NONE;
    struct gw_rpc_server *server;
    assert_int_equal(gw_rpc_server_start(&options, methods, GW_ARRAY_LEN(methods), &server, &err),
                     -1);
    assert_true(err.message[0]);
    return err.code;
}

static void test_options_that_cannot_work(void **state)
{
    (void)state;
    const char *listen = "127.0.0.1:0", *cert = "server.pem", *key = "server.key";
#define FAILS(...) start_fails((struct gw_rpc_server_options){.listen = listen, __VA_ARGS__})
    assert_int_equal(FAILS(.cert_file = cert), GW_INVALID_ARGUMENT);
    assert_int_equal(FAILS(.client_ca_file = cert), GW_INVALID_ARGUMENT);
    assert_int_equal(FAILS(.cert_file = cert, .key_file = key, .client_cert_required = true),
                     GW_INVALID_ARGUMENT);
    assert_int_equal(FAILS(.cert_file = cert, .key_file = "/nowhere"), GW_INVALID_ARGUMENT);
    assert_int_equal(FAILS(.cert_file = cert, .key_file = "agent.key"), GW_UNAVAILABLE);
    listen = "no such host:x";
    assert_int_equal(FAILS(.cert_file = NULL), GW_UNAVAILABLE);
}

static void test_port_is_not_shared(void **state)
{
    (void)state;
    fixture_start(&fixture, (struct gw_rpc_server_options){0}, methods, GW_ARRAY_LEN(methods));
    assert_int_equal(start_fails((struct gw_rpc_server_options){.listen = fixture.target}),
                     GW_UNAVAILABLE);
    fixture_stop(&fixture);
}

/* Whoever may not call anything could keep a descriptor else for as long as it likes. */
static void test_a_connection_without_calls_is_closed(void **state)
{
    (void)state;
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"; /* SETTINGS */
    const struct timeval patience = {.tv_sec = 60};
    char bytes[4096];
    ssize_t n, seen = 0;
    fixture_start(&fixture, (struct gw_rpc_server_options){.idle_ms = 1000}, methods,
                  GW_ARRAY_LEN(methods));
    struct sockaddr_in place = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)gw_rpc_server_port(fixture.server)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof(place)), 0);
    assert_int_equal(write(fd, hello, sizeof(hello) - 1), sizeof(hello) - 1);
    while ((n = read(fd, bytes, sizeof(bytes))) > 0)
        seen += n;
    assert_int_equal(n, 0); /* not that it took too long */
    assert_true(seen > 0);
    close(fd);
    fixture_stop(&fixture);
}

static void test_unix_socket(void **state)
{
    (void)state;
    char path[128];
    struct stat st;
    struct gw_error err;
    snprintf(path, sizeof(path), "unix:%s/socket", folder);
    fixture_start(&fixture, (struct gw_rpc_server_options){.listen = path}, methods,
                  GW_ARRAY_LEN(methods));
    assert_int_equal(stat(path + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    struct gw_rpc_client *client =
        new_client((struct gw_rpc_client_options){.target = path, .bearer = "allowed here"});
    assert_string_equal(call_text(client, &fixture.arena, WHO, "", TIMEOUT_MS, &err), "nobody");
    gw_rpc_client_close(client);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_certificate_is_verified),
        cmocka_unit_test(test_client_certificates_that_are_required),
        cmocka_unit_test(test_client_certificates_that_are_optional),
        cmocka_unit_test(test_certificates_change_under_a_live_server),
        cmocka_unit_test(test_options_that_cannot_work),
        cmocka_unit_test(test_port_is_not_shared),
        cmocka_unit_test(test_a_connection_without_calls_is_closed),
        cmocka_unit_test(test_unix_socket),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
