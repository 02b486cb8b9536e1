/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/settings.h"

#include "common/settings.h"
#include "controlplane/agents/registry.h"
#include "controlplane/model/check_group.h"
#include "controlplane/service/audit_clean.h"
#include "controlplane/service/context.h"
#include "controlplane/service/feed.h"
#include "controlplane/service/ticket_keys.h"

#include <stdio.h>

#define TEXT(f, field, fallback, doc)                                                              \
    {                                                                                              \
        f, GW_SETTING_TEXT, offsetof(struct cp_settings, field), fallback, 0, 0, doc               \
    }
#define NUMBER(f, field, fallback, min, max, doc)                                                  \
    {                                                                                              \
        f, GW_SETTING_INT, offsetof(struct cp_settings, field), fallback, min, max, doc            \
    }
#define DURATION(f, field, fallback, min, max, doc)                                                \
    {                                                                                              \
        f, GW_SETTING_DURATION, offsetof(struct cp_settings, field), fallback, min, max, doc       \
    }
#define QUOTA_MAX 10000000
#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

static const struct gw_setting rows[] = {
    GW_SETTINGS_HEADING("Addresses"),
    TEXT(
        "listen", listen, "127.0.0.1:9440",
        "Where the management API and the agents' stream are served, gRPC: host:port, [v6]:port or "
        "unix:/path. Without a credentials file it must be loopback"),
    TEXT("http-listen", http_listen, "127.0.0.1:9442",
         "Where the management API is served as JSON over HTTP, with the certificates and the "
         "credentials of --listen: host:port, :port for all addresses; empty: nowhere. Without a "
         "credentials file it must be loopback"),
    TEXT("ops-listen", ops_listen, "127.0.0.1:9441",
         "Where /metrics, /livez and /readyz are served, HTTP: host:port, :port for all addresses"),

    GW_SETTINGS_HEADING("Who may call"),
    TEXT("credentials-file", credentials_file, "",
         "JSON file of tokens, client certificates, issuers of JWTs, roles and agents; read again "
         "when it changes. Without "
         "it everybody who reaches the loopback address is administrator"),
    TEXT("tls-cert-file", tls_cert_file, "",
         "PEM certificate chain of the listener; read again when it changes. Without it the "
         "listener speaks plaintext"),
    TEXT("tls-key-file", tls_key_file, "", "PEM private key of that certificate"),
    TEXT("tls-client-ca-file", tls_client_ca_file, "",
         "PEM certificates by which client certificates are verified. Callers may present one; "
         "agents must, once there is a credentials file"),

    GW_SETTINGS_HEADING("Store"),
    TEXT("store", store, CP_STORE_DEFAULT,
         "sqlite:PATH, a file for one control plane on one machine, or etcd:URL[,URL], for any "
         "number of them"),
    TEXT("etcd-ca-file", etcd_ca_file, "",
         "PEM certificates by which etcd is verified. Without it the system's"),
    TEXT("etcd-cert-file", etcd_cert_file, "",
         "PEM client certificate for etcd, without a common name"),
    TEXT("etcd-key-file", etcd_key_file, "", "PEM private key of that certificate"),
    TEXT("etcd-user", etcd_user, "", "User name at etcd. Without it no authentication"),
    TEXT("etcd-password-file", etcd_password_file, "", "File with that user's password"),
    DURATION("etcd-timeout", etcd_timeout_ms, "5s", 100, 60000,
             "Patience with one etcd endpoint before the next one is tried"),
    DURATION(
        "etcd-progress-interval", etcd_progress_ms, "10m", 100, 3600000,
        "etcd's own --experimental-watch-progress-notify-interval. A watch that is silent "
        "three times as long is made again, and one whose member does not answer, within seconds"),
    TEXT(
        "seal-key-file", seal_key_file, "",
        "File of the keys that secrets (private keys, ticket keys) are sealed with before they are "
        "stored: a line each, 32 random bytes in base64 or hex (openssl rand -base64 32), or 32 "
        "raw "
        "bytes alone. The first one seals, all of them open. The same for all replicas. Read at "
        "the "
        "start only. Default: with sqlite the database's name with .seal-key, made when absent; "
        "with etcd none, and "
        "secrets are refused"),

    GW_SETTINGS_HEADING("TLS of agents"),
    DURATION(
        "ticket-key-rotation", ticket_key_rotation_ms, CP_TICKET_KEY_ROTATION_DEFAULT, 1000,
        604800000,
        "How long a key seals TLS session tickets; below 5m sessions end before their hour. The "
        "keys are made here, one rotation ahead, "
        "and are the same for all agents, so that any of them resumes the sessions of any other. "
        "Needs keys for secrets"),

    GW_SETTINGS_HEADING("Enrolled agents"),
    DURATION(
        "agent-certificate-life", agent_certificate_life_ms, "720h", 10000, 31536000000,
        "How long a certificate of an enrolled agent is good; the agent gets the next one after "
        "two thirds of that"),

    GW_SETTINGS_HEADING("Limits"),
    NUMBER("releases-kept", releases_kept, TEXT_OF(CP_RELEASES_KEPT_DEFAULT), 0, 1000000,
           "Releases kept of an API in an environment; the effective one is never dropped. 0: all "
           "of them"),
    NUMBER("agents-max", agents_max, TEXT_OF(CP_AGENTS_MAX_DEFAULT), 1, 15000,
           "Agents connected at a time"),
    NUMBER("snapshots-at-once", snapshots_at_once, TEXT_OF(CP_PACE_AT_ONCE_DEFAULT), 1, 15000,
           "Agents that are sent a snapshot, or another large update, at a time. The others wait "
           "for their turn; who neither takes nor acknowledges for a second loses it"),
    NUMBER("update-bytes-max", update_bytes_max, TEXT_OF(CP_PACE_BYTES_DEFAULT), 1048576,
           17179869184,
           "Bytes of packed updates in memory; agents that need the same one share it. Beyond, "
           "large updates go out one at a time, and agents that do not take theirs are dropped"),
    DURATION("agent-stall-timeout", agent_stall_ms, CP_PACE_STALL_DEFAULT, 1000, 3600000,
             "An agent that does not take, or does not acknowledge, an update for so long is "
             "dropped; it connects again and goes on from what it has"),
    NUMBER("channel-members-max", channel_members_max, TEXT_OF(CP_CHANNEL_MEMBERS_MAX_DEFAULT), 1,
           CP_CHANNEL_MEMBERS_MAX, "Members of a load balance channel"),
    NUMBER("variables-max", variables_max, TEXT_OF(CP_VARIABLES_MAX_DEFAULT), 1, 1000,
           "Variables of a group in an environment"),
    NUMBER(
        "watch-bytes-max", watch_bytes_max, TEXT_OF(CP_FEED_BYTES_MAX), 65536, 1073741824,
        "Bytes of past changes that are kept for watches: who is further behind has to list again"),
    NUMBER("groups-max", quotas[CP_QUOTA_GROUPS], "1500", 0, QUOTA_MAX,
           "API groups. Here and below 0: any number"),
    NUMBER("apis-max", quotas[CP_QUOTA_APIS], "0", 0, QUOTA_MAX,
           "APIs of the gateway; the default is any number, as 100,000 are what it is built for: "
           "set it where a gateway is shared and has to stay small"),
    NUMBER("group-apis-max", quotas[CP_QUOTA_GROUP_APIS], "1000", 0, QUOTA_MAX, "APIs of a group"),
    NUMBER("apps-max", quotas[CP_QUOTA_APPS], "50", 0, QUOTA_MAX, "Apps"),
    NUMBER("app-apis-max", quotas[CP_QUOTA_AUTHORIZATIONS], "1000", 0, QUOTA_MAX,
           "Authorizations of an app"),
    NUMBER("environments-max", quotas[CP_QUOTA_ENVIRONMENTS], "10", 0, QUOTA_MAX, "Environments"),
    NUMBER("domains-max", quotas[CP_QUOTA_DOMAINS], "5", 1, 20, "Domains of a group"),
    NUMBER("channels-max", quotas[CP_QUOTA_CHANNELS], "200", 0, QUOTA_MAX, "Load balance channels"),
    NUMBER("throttles-max", quotas[CP_QUOTA_THROTTLES], "300", 0, QUOTA_MAX, "Throttling policies"),
    NUMBER("access-controls-max", quotas[CP_QUOTA_ACCESS_CONTROLS], "100", 0, QUOTA_MAX,
           "Access control policies"),
    NUMBER("plugins-max", quotas[CP_QUOTA_PLUGINS], "500", 0, QUOTA_MAX,
           "Policies of all other kinds"),
    TEXT("debug-domain-suffix", debug_domain_suffix, CP_DEBUG_DOMAIN_SUFFIX_DEFAULT,
         "What the debugging domains of new groups end in"),

    GW_SETTINGS_HEADING("Audit trail"),
    DURATION("audit-retention", audit_retention_ms, CP_AUDIT_RETENTION_DEFAULT, 1000, 31536000000,
             "How long audit events are kept. The same for all replicas"),
    NUMBER("audit-events-max", audit_events_max, TEXT_OF(CP_AUDIT_EVENTS_MAX_DEFAULT), 1000,
           10000000,
           "Audit events kept, about 2 KiB each in the store; beyond, the oldest go before their "
           "time"),

    GW_SETTINGS_HEADING("Operation"),
    TEXT("log-level", given_log_level, "info", "debug, info, warn or error"),
    DURATION("drain-timeout", drain_timeout_ms, "10s", 0, 600000,
             "Time for calls under way to finish after SIGTERM"),
};

static const char usage[] =
    "penstock-controlplane [options]\n\n"
    "The control plane of the Penstock API gateway: management API, store, agents.\n"
    "--help prints this, --version the version. Flags win over the environment.\n"
    "Exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 usage.";

bool cp_settings_is_loopback(const char *listen)
{
    gw_str text = gw_str_from(listen);
    if (gw_str_has_prefix(text, GW_STR("unix:")))
        return true;
    const char *colon = strrchr(listen, ':');
    gw_str host = gw_str_n(listen, colon ? (size_t)(colon - listen) : text.len);
    if (gw_str_eq(host, GW_STR("localhost")) || gw_str_eq(host, GW_STR("[::1]")))
        return true;
    /* Digits and dots alone: "127.example.com" is a name, and whose address is anybody's guess. */
    for (size_t i = 0; i < host.len; i++)
        if ((host.ptr[i] < '0' || host.ptr[i] > '9') && host.ptr[i] != '.')
            return false;
    return gw_str_has_prefix(host, GW_STR("127."));
}

static int check_store(const struct cp_settings *settings, struct gw_error *err)
{
    gw_str rest = gw_str_from(settings->store);
    gw_str kind = gw_str_split(&rest, ':');
    bool is_etcd = gw_str_eq(kind, GW_STR("etcd"));
    if ((!is_etcd && !gw_str_eq(kind, GW_STR("sqlite"))) || rest.len == 0)
        return gw_fail_field(err, "--store", "\"%s\" is neither sqlite:PATH nor etcd:URL[,URL]",
                             settings->store);
    if (!*settings->etcd_cert_file != !*settings->etcd_key_file)
        return gw_fail_field(err,
                             *settings->etcd_cert_file ? "--etcd-key-file" : "--etcd-cert-file",
                             "is missing: certificate and key go together");
    if (!*settings->etcd_user != !*settings->etcd_password_file)
        return gw_fail_field(err, *settings->etcd_user ? "--etcd-password-file" : "--etcd-user",
                             "is missing: user and password go together");
    return 0;
}

static int check_access(const struct cp_settings *settings, struct gw_error *err)
{
    if (!*settings->tls_cert_file != !*settings->tls_key_file)
        return gw_fail_field(err, *settings->tls_cert_file ? "--tls-key-file" : "--tls-cert-file",
                             "is missing: certificate and key go together");
    if (*settings->tls_client_ca_file && !*settings->tls_cert_file)
        return gw_fail_field(err, "--tls-cert-file",
                             "is missing: client certificates need a listener with TLS");
    if (*settings->credentials_file)
        return 0;
    const char *http = settings->http_listen;
    bool is_http_inside = !*http || cp_settings_is_loopback(http);
    if (is_http_inside && cp_settings_is_loopback(settings->listen))
        return 0;
    return gw_fail_field(err, "--credentials-file",
                         "is missing: without one everybody who reaches the listener is "
                         "administrator, so %s must be a loopback address, not %s",
                         is_http_inside ? "--listen" : "--http-listen",
                         is_http_inside ? settings->listen : http);
}

int cp_settings_load(struct cp_settings *settings, int argc, char **argv, struct gw_error *err)
{
    int rest;
    *settings = (struct cp_settings){.listen = NULL};
    if (gw_settings_load(rows, GW_ARRAY_LEN(rows), settings, argc, argv, &rest, err))
        return -1;
    if (rest < argc)
        return gw_fail(err, GW_INVALID_ARGUMENT, "unexpected \"%s\": there are only options",
                       argv[rest]);
    if (gw_log_level_from(gw_str_from(settings->given_log_level), &settings->log_level))
        return gw_fail_field(err, "--log-level", "\"%s\" is not debug, info, warn or error",
                             settings->given_log_level);
    if (check_store(settings, err))
        return -1;
    return check_access(settings, err);
}

void cp_settings_print_help(void)
{
    gw_settings_print_help(rows, GW_ARRAY_LEN(rows), usage);
}
