/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/settings.h"

#include "common/settings.h"
#include "dataplane/net/listener.h"
#include "dataplane/supervisor.h"
#include "dataplane/sync/identity_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS_OWN 32          /* of loops, listeners, logs, the control plane */
#define DESCRIPTORS_BESIDE_MAX 1024 /* that callers leave */

#define ID_FILE "agent-id"
#define USAGE                                                                                      \
    "penstock-agent [OPTIONS]\n\n"                                                                 \
    "Answers callers of the APIs that a control plane publishes. SIGTERM drains and ends, a "      \
    "second one ends\nat once; SIGUSR2 starts the program again, as it is on disk now, on the "    \
    "same sockets, and drains this\nprocess once the new one serves; SIGHUP opens the access log " \
    "again. Exit status: 0 ended as asked,\n1 failed, 2 usage."

#define ROW(flag, kind, field, fallback, min, max, doc)                                            \
    {                                                                                              \
        flag, GW_SETTING_##kind, offsetof(struct dp_settings, field), fallback, min, max, doc      \
    }
#define SECOND (int64_t)1000
#define HOUR (int64_t)3600000
#define MIB ((int64_t)1024 * 1024)

static const struct gw_setting rows[] = {
    ROW("listen", TEXT, listen, "0.0.0.0:8080", 0, 0,
        "Addresses for callers, by comma: \"0.0.0.0:8080\", \"[::1]:8080\", \"*:8080\"; words "
        "behind one: \"tls\", HTTPS, as in \"0.0.0.0:8443 tls\"; \"proxy\", a load balancer says "
        "first whose connection it is, by the PROXY protocol"),
    ROW("https-port", INT, https_port, "443", 1, 65535,
        "Port that callers are sent to by a domain's redirect to HTTPS"),
    ROW("ops-listen", TEXT, ops_listen, "127.0.0.1:9100", 0, 0,
        "Address of the operations port: /metrics, /livez, /readyz, /config; \"off\": none"),
    ROW("controlplane", TEXT, controlplane, "127.0.0.1:9440", 0, 0,
        "Control planes, host:port by comma; the first is preferred. Of a name with several "
        "addresses "
        "each agent has its own order"),
    ROW("controlplane-return", DURATION, controlplane_return_ms, "30s", 100, HOUR,
        "How often an agent that had to leave the preferred control plane looks whether it is "
        "back, "
        "half of it by chance, so that a thousand do not come at once"),
    ROW("controlplane-ca-file", TEXT, controlplane_ca_file, "", 0, 0,
        "Certificates (PEM) that the control plane must be verified by; without: plaintext"),
    ROW("controlplane-cert-file", TEXT, controlplane_cert_file, "", 0, 0,
        "The agent's own certificate (PEM) toward the control plane"),
    ROW("controlplane-key-file", TEXT, controlplane_key_file, "", 0, 0,
        "The key (PEM) of --controlplane-cert-file"),
    ROW("enrolment-token-file", TEXT, enrolment_token_file, "", 0, 0,
        "File of an enrolment's token: the agent makes a key of its own, gets a certificate for it "
        "from the control plane, keeps both in --cache-dir (identity.pem, 0600), and renews them "
        "by "
        "itself. Another token in the file enrols it again. Instead of --controlplane-cert-file"),
    ROW("agent-id", TEXT, given_agent_id, "", 0, 0,
        "Name of this agent, 1 to 128 of a-z A-Z 0-9 . - _; without: made once and kept in "
        "--cache-dir, or the host's name when there is none"),
    ROW("labels", TEXT, labels, "", 0, 0, "What else to tell the control plane: \"zone=a,rack=7\""),
    ROW("cache-dir", TEXT, cache_dir, "", 0, 0,
        "Directory where the last good configuration is kept, to start from while the control "
        "plane is away, with the private keys of domains in the clear (0600); made (0700) when it "
        "is "
        "not there; without: nowhere"),
    ROW("access-log", TEXT, access_log, "-", 0, 0,
        "Where the access log goes: \"-\" (stdout), a path, or \"off\""),
    ROW("log-level", TEXT, given_log_level, "info", 0, 0,
        "What is logged to stderr: debug, info, warn or error"),
    ROW("workers", INT, workers, "0", 0, DP_WORKERS_MAX,
        "Threads that serve requests; 0: one per core that it may run on"),
    ROW("connections-max", INT, connections_max, "10000", 1, 10000000,
        "Connections of callers at once, fewer where the process may not open so many files; those "
        "beyond get 503"),
    ROW("tls-handshakes-max", INT, tls_handshakes_max, "5000", 1, 10000000,
        "TLS handshakes of callers at once, which count toward --connections-max too; connections "
        "beyond are closed"),
    ROW("http2", BOOL, http2, "true", 0, 0,
        "Speak HTTP/2 to callers who ask for it: by ALPN, or in the clear by prior knowledge"),
    ROW("http2-streams-max", INT, http2_streams_max, "100", 1, 10000,
        "Requests at once on a connection of HTTP/2; those beyond are refused"),
    ROW("head-timeout", DURATION, head_timeout_ms, "15s", 1, HOUR,
        "From the first byte of a request to the end of its head; then 408"),
    ROW("body-timeout", DURATION, body_timeout_ms, "8s", 1, HOUR,
        "Between two pieces of a request's body; then 408"),
    ROW("idle-timeout", DURATION, idle_timeout_ms, "75s", 1, 24 * HOUR,
        "Between two requests of a connection; then it is closed"),
    ROW("write-timeout", DURATION, write_timeout_ms, "60s", 1, HOUR,
        "How long a caller may take no byte of an answer"),
    ROW("stream-idle-timeout", DURATION, stream_idle_timeout_ms, "5m", 1, 24 * HOUR,
        "How long nothing may move in a WebSocket connection, and how long an event stream "
        "(text/event-stream) may be silent; where the API's backend timeout is longer, that"),
    ROW("request-body-max", BYTES, request_body_max, "12MiB", MIB, 9536 * MIB,
        "Largest body of a request; beyond: 413"),
    ROW("source-from-xff", BOOL, source_from_xff, "false", 0, 0,
        "Take the caller's address from X-Forwarded-For; only behind a proxy that sets it"),
    ROW("xff-index", INT, xff_index, "-1", -100, 100,
        "Which address of X-Forwarded-For: 0 the first, 1 the second, -1 the last"),
    ROW("xff-strict", BOOL, xff_strict, "false", 0, 0,
        "Without that address in X-Forwarded-For, IP access control refuses (403 APIG.0401); "
        "otherwise the address of the connection counts, as it does for throttling"),
    ROW("gzip", BOOL, gzip, "false", 0, 0,
        "Compress text, JSON, XML, JavaScript, CSS, SVG and TIFF of more than 1 KiB for callers "
        "that "
        "accept gzip"),
    ROW("gzip-level", INT, gzip_level, "6", 1, 9, "From 1, fast, to 9, small"),
    ROW("debug-for-all", BOOL, debug_for_all, "false", 0, 0,
        "Answer X-Apig-Mode: debug also to callers without an app"),
    ROW("upstream-connect-timeout", DURATION, upstream_connect_timeout_ms, "5s", 1, HOUR,
        "To connect to one address of a backend, TLS included"),
    ROW("upstream-idle-timeout", DURATION, upstream_idle_timeout_ms, "60s", 1, 24 * HOUR,
        "How long an unused connection to a backend is kept"),
    ROW("upstream-idle-max", INT, upstream_idle_max, "1024", 1, 100000,
        "Unused connections kept per backend address and worker"),
    ROW("upstream-ca-file", TEXT, upstream_ca_file, "", 0, 0,
        "Certificates (PEM) that backends over TLS must be verified by; without: the system's"),
    ROW("dns-servers", TEXT, dns_servers, "", 0, 0,
        "Who resolves names of backends: \"10.0.0.2\", \"127.0.0.1:5353\", several by comma; "
        "without: "
        "as /etc/resolv.conf says"),
    ROW("limiter-size", INT, limiter_size, "1048576", 1024, 1 << 28,
        "Counters of throttling alive at once, 56 bytes each when used"),
    ROW("drain-grace", DURATION, drain_grace_ms, "5s", 0, HOUR,
        "How long to go on as before after SIGTERM, so that load balancers notice"),
    ROW("drain-timeout", DURATION, drain_timeout_ms, "30s", 0, 24 * HOUR,
        "How long requests may take to end after that; then they are cut"),
    ROW("upgrade-timeout", DURATION, upgrade_timeout_ms, "60s", 1, HOUR,
        "How long after SIGUSR2 the new process may take to serve; then it is ended, and this one "
        "goes on"),
    ROW("pid-file", TEXT, pid_file, "", 0, 0,
        "File with the pid of the process that serves; after an upgrade, of the new one"),
};

/* ---- the agent's id */

static bool is_id(gw_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_')
            return false;
    }
    return id.len > 0 && id.len <= DP_AGENT_ID_MAX;
}

static void set_id(struct dp_settings *settings, gw_str id)
{
    memcpy(settings->agent_id, id.ptr, id.len);
    settings->agent_id[id.len] = 0;
}

/* 1: read; 0: there is none. */
static int read_id(struct dp_settings *settings, const char *path, struct gw_error *err)
{
    char text[DP_AGENT_ID_MAX + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: %s", path, strerror(error));
    gw_str id = gw_str_n(text, (size_t)n);
    if (gw_str_has_suffix(id, GW_STR("\n")))
        id.len--;
    if (!is_id(id))
        return gw_fail(err, GW_FAILED_PRECONDITION,
                       "%s holds no agent id; remove it, or give --agent-id", path);
    set_id(settings, id);
    return 1;
}

static int make_id(struct dp_settings *settings, const char *path, struct gw_error *err)
{
    uint8_t random[8];
    char text[32];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return gw_fail(err, GW_INTERNAL, "getrandom: %s", strerror(errno));
    size_t len = (size_t)snprintf(text, sizeof(text), "agent-");
    for (unsigned i = 0; i < sizeof(random); i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%02x", random[i]);
    set_id(settings, gw_str_n(text, len));
    snprintf(text + len, sizeof(text) - len, "\n");
    int result = dp_file_replace(path, gw_str_from(text), 0600); /* a new id is another agent */
    if (result < 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: %s", path, strerror(-result));
    return 0;
}

static int keep_id(struct dp_settings *settings, struct gw_error *err)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/" ID_FILE, settings->cache_dir);
    if ((size_t)len >= sizeof(path))
        return gw_fail_field(err, "--cache-dir", "the path is too long");
    int result = read_id(settings, path, err);
    return result == 0 ? make_id(settings, path, err) : result < 0 ? -1 : 0;
}

/* Host names have no other characters; whatever somebody set instead becomes '-'. */
static void use_host_name(struct dp_settings *settings)
{
    char name[DP_AGENT_ID_MAX + 1] = "";
    if (gethostname(name, sizeof(name) - 1) != 0 || !name[0])
        strcpy(name, "agent");
    for (char *c = name; *c; c++)
        if (!is_id(gw_str_n(c, 1)))
            *c = '-';
    set_id(settings, gw_str_from(name));
}

static int choose_id(struct dp_settings *settings, struct gw_error *err)
{
    gw_str given = gw_str_from(settings->given_agent_id);
    if (given.len > 0) {
        if (!is_id(given))
            return gw_fail_field(err, "--agent-id", "\"%s\" is not 1 to %d of a-z A-Z 0-9 . - _",
                                 given.ptr, DP_AGENT_ID_MAX);
        set_id(settings, given);
        return 0;
    }
    if (settings->cache_dir[0])
        return keep_id(settings, err);
    use_host_name(settings);
    return 0;
}

/* ---- checks */

static int check_addresses(const char *flag, const char *text, unsigned max, struct gw_error *err)
{
    unsigned count = 0;
    gw_str rest = gw_str_from(text);
    while (rest.ptr) {
        struct dp_listener_spec spec;
        struct gw_error why = GW_ERROR_NONE;
        if (dp_listener_parse(gw_str_split(&rest, ','), &spec, &why) < 0)
            return gw_fail_field(err, flag, "%s", why.message);
        if (spec.proxy && strcmp(flag, "--listen") != 0)
            return gw_fail_field(err, flag,
                                 "no load balancer is expected here: leave \"proxy\" out");
        if (++count > max)
            return gw_fail_field(err, flag, "more than %u", max);
    }
    return 0;
}

static int check_enrolment(struct dp_settings *settings, struct gw_error *err)
{
    if (!settings->enrolment_token_file[0])
        return 0;
    if (settings->controlplane_cert_file[0])
        return gw_fail_field(err, "--enrolment-token-file",
                             "stands in the place of --controlplane-cert-file");
    if (!settings->controlplane_ca_file[0] || !settings->cache_dir[0])
        return gw_fail_field(err, "--enrolment-token-file",
                             "goes with --controlplane-ca-file and --cache-dir");
    int length = snprintf(settings->identity_file, sizeof(settings->identity_file),
                          "%s/" DP_IDENTITY_FILE, settings->cache_dir);
    if (length < 0 || (size_t)length >= sizeof(settings->identity_file))
        return gw_fail_field(err, "--cache-dir", "the path is too long");
    settings->controlplane_cert_file = settings->controlplane_key_file = settings->identity_file;
    return 0;
}

static int check(struct dp_settings *settings, struct gw_error *err)
{
    bool has_cert = settings->controlplane_cert_file[0],
         has_key = settings->controlplane_key_file[0];
    if (check_addresses("--listen", settings->listen, DP_LISTENERS_MAX, err) < 0)
        return -1;
    if (settings->ops_listen[0] &&
        check_addresses("--ops-listen", settings->ops_listen, 1, err) < 0)
        return -1;
    if (strchr(settings->ops_listen, ' '))
        return gw_fail_field(err, "--ops-listen", "takes an address and no words");
    if (has_cert != has_key)
        return gw_fail_field(err, "--controlplane-cert-file",
                             "goes with --controlplane-key-file, and that with it");
    if (has_cert && !settings->controlplane_ca_file[0])
        return gw_fail_field(err, "--controlplane-ca-file", "goes with --controlplane-cert-file");
    if (check_enrolment(settings, err) < 0)
        return -1;
    if (gw_log_level_from(gw_str_from(settings->given_log_level), &settings->log_level) < 0)
        return gw_fail_field(err, "--log-level", "\"%s\" is not debug, info, warn or error",
                             settings->given_log_level);
    return 0;
}

static int64_t count_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return GW_MIN(GW_MAX(count, 1), DP_WORKERS_MAX);
}

static bool has_word(char **argv, const char *word)
{
    for (char **at = argv + 1; *at && strcmp(*at, "--") != 0; at++)
        if (strcmp(*at, word) == 0)
            return true;
    return false;
}

int dp_settings_load(struct dp_settings *settings, int argc, char **argv, struct gw_error *err)
{
    int rest;
    *settings = (struct dp_settings){0};
    settings->help = has_word(argv, "--help");
    settings->version = has_word(argv, "--version");
    if (settings->help || settings->version)
        return 0;
    if (gw_settings_load(rows, GW_ARRAY_LEN(rows), settings, argc, argv, &rest, err) < 0)
        return -1;
    if (rest < argc)
        return gw_fail(err, GW_INVALID_ARGUMENT, "\"%s\" is no option", argv[rest]);
    if (strcmp(settings->ops_listen, "off") == 0)
        settings->ops_listen = "";
    if (settings->workers == 0)
        settings->workers = count_cores();
    if (check(settings, err) < 0)
        return -1;
    if (settings->cache_dir[0] && mkdir(settings->cache_dir, 0700) < 0 && errno != EEXIST)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: %s", settings->cache_dir, strerror(errno));
    return choose_id(settings, err);
}

void dp_settings_fit(struct dp_settings *settings, uint64_t descriptors)
{
    uint64_t beside = GW_MIN(descriptors / 4 + DESCRIPTORS_OWN, (uint64_t)DESCRIPTORS_BESIDE_MAX);
    uint64_t most = descriptors > beside ? descriptors - beside : 1;
    if ((uint64_t)settings->connections_max <= most)
        return;
    settings->connections_max = (int64_t)most;
    gw_log(GW_LOG_WARN, "agent",
           "callers get fewer connections than --connections-max says, so "
           "that file descriptors are left for backends and the operations port",
           gw_kv_int("connections_max", settings->connections_max));
}

void dp_settings_print_help(void)
{
    gw_settings_print_help(rows, GW_ARRAY_LEN(rows), USAGE);
}
