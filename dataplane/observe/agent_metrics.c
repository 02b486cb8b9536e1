/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/agent_metrics.h"

#include "dataplane/downstream/server.h"
#include "dataplane/refusal.h"

#define COUNTER .type = GW_COUNTER
#define GAUGE .type = GW_GAUGE
#define LABEL(name, list) .label = (name), .values = (list), .value_count = GW_ARRAY_LEN(list)
#define SECONDS                                                                                    \
    .type = GW_HISTOGRAM, .scale = 1e-9, .buckets = latency_ns,                                    \
    .bucket_count = GW_ARRAY_LEN(latency_ns)

static const char *const versions[] = {PENSTOCK_VERSION};

static const char *const classes[DP_CLASS_COUNT] = {"1xx", "2xx", "3xx", "4xx", "5xx", "gone"};

static const char *const timeouts[DP_TIMEOUT_COUNT] = {"idle", "head", "body", "write",
                                                       "handshake"};

static const char *const grpc_statuses[DP_METRIC_GRPC_OTHER + 1] = {
    "0", "1",  "2",  "3",  "4",  "5",  "6",  "7",  "8",
    "9", "10", "11", "12", "13", "14", "15", "16", "other"};

static const char *const tls_versions[] = {"TLSv1.1", "TLSv1.2", "TLSv1.3"};

static const char *const tls_failures[] = {
    "no_certificate",    "unknown_name", "version", "not_shared", "protocol",
    "refused_by_caller", "not_tls",      "broken",  "abandoned",  "too_many"};

static const char *const tls_floods[] = {"messages", "unread_answers"};

static const char *const protocols[DP_PROTOCOL_COUNT] = {"http/1.0", "http/1.1", "http/2"};

static const char *const floods[DP_H2_FLOOD_COUNT] = {"resets", "frames", "continuations",
                                                      "fields"};

#define REASON(name, status, code, message, reason) reason,
static const char *const reasons[] = {DP_REFUSALS(REASON)};
#undef REASON

#define MS (int64_t)1000000
static const int64_t latency_ns[] = {MS,        MS * 5 / 2, 5 * MS,     10 * MS,    25 * MS,
                                     50 * MS,   100 * MS,   250 * MS,   500 * MS,   1000 * MS,
                                     2500 * MS, 5000 * MS,  10000 * MS, 30000 * MS, 60000 * MS};

const struct gw_metric dp_agent_metrics[DP_METRIC_COUNT] = {
    [DP_METRIC_BUILD_INFO] = {"penstock_agent_build_info", GAUGE, .help = "Always 1.",
                              LABEL("version", versions)},
    [DP_METRIC_UPGRADES_FAILED] = {"penstock_agent_upgrades_failed_total", COUNTER,
                                   .help = "New binaries that did not come to serve; this process "
                                           "went on."},
    [DP_METRIC_REQUESTS] = {"penstock_agent_requests_total", COUNTER,
                            .help = "Requests that have ended, by class of the answer's status; "
                                    "gone: the caller left before an answer.",
                            LABEL("class", classes)},
    [DP_METRIC_REFUSALS] = {"penstock_agent_refusals_total", COUNTER,
                            .help = "Requests that the agent answered with an error of its own, "
                                    "by reason.",
                            LABEL("reason", reasons)},
    [DP_METRIC_CUT] = {"penstock_agent_answers_cut_total", COUNTER,
                       .help = "Answers that did not reach the caller whole."},
    [DP_METRIC_REQUEST_DURATION] = {"penstock_agent_request_duration_seconds", SECONDS,
                                    .help = "From the first byte of a request to the last byte of "
                                            "its answer; of WebSocket to the end of the "
                                            "handshake."},
    [DP_METRIC_UPSTREAM_DURATION] = {"penstock_agent_upstream_duration_seconds", SECONDS,
                                     .help = "From the start of a call to a backend, retries "
                                             "included, to the head of its answer."},
    [DP_METRIC_BYTES_IN] = {"penstock_agent_request_bytes_total", COUNTER,
                            .help = "Bytes of requests, heads and framing included."},
    [DP_METRIC_BYTES_OUT] = {"penstock_agent_response_bytes_total", COUNTER,
                             .help = "Bytes of answers, heads and framing included."},
    [DP_METRIC_GRPC_STATUSES] = {"penstock_agent_grpc_calls_total", COUNTER,
                                 .help = "Calls of gRPC that ended with a status, the backend's "
                                         "or the agent's own, by its number; those that were cut, "
                                         "or answered otherwise, have none.",
                                 LABEL("status", grpc_statuses)},
    [DP_METRIC_GZIP_ANSWERS] = {"penstock_agent_gzip_answers_total", COUNTER,
                                .help = "Answers that were compressed."},
    [DP_METRIC_GZIP_BYTES_IN] = {"penstock_agent_gzip_bytes_in_total", COUNTER,
                                 .help = "Bytes of their bodies before."},
    [DP_METRIC_GZIP_BYTES_OUT] = {"penstock_agent_gzip_bytes_out_total", COUNTER,
                                  .help = "Bytes of their bodies after."},
    [DP_METRIC_GZIP_LIMITED] = {"penstock_agent_gzip_limited_total", COUNTER,
                                .help = "Answers that left as they were because too many others "
                                        "were being compressed."},
    [DP_METRIC_CONNECTIONS] = {"penstock_agent_connections", GAUGE,
                               .help = "Connections of callers now."},
    [DP_METRIC_CONNECTIONS_ACCEPTED] = {"penstock_agent_connections_accepted_total", COUNTER,
                                        .help = "Connections of callers that were taken."},
    [DP_METRIC_CONNECTIONS_REFUSED] = {"penstock_agent_connections_refused_total", COUNTER,
                                       .help = "Connections of callers beyond --connections-max."},
    [DP_METRIC_ACCEPT_FAILURES] = {"penstock_agent_accept_failures_total", COUNTER,
                                   .help = "Times that accepting paused for lack of file "
                                           "descriptors or memory."},
    [DP_METRIC_PROXY_REFUSED] = {"penstock_agent_proxy_headers_refused_total", COUNTER,
                                 .help = "Connections that were closed because no PROXY header "
                                         "came, or a malformed one."},
    [DP_METRIC_TIMEOUTS] = {"penstock_agent_caller_timeouts_total", COUNTER,
                            .help = "Connections of callers that ran into a time limit, by what "
                                    "was waited for.",
                            LABEL("phase", timeouts)},
    [DP_METRIC_PROTOCOLS] = {"penstock_agent_protocol_requests_total", COUNTER,
                             .help = "Requests that have ended, by the protocol of the caller.",
                             LABEL("protocol", protocols)},
    [DP_METRIC_H2_CONNECTIONS] = {"penstock_agent_http2_connections_total", COUNTER,
                                  .help = "Connections of callers that spoke HTTP/2."},
    [DP_METRIC_H2_STREAMS] = {"penstock_agent_http2_streams_total", COUNTER,
                              .help = "Streams that callers opened."},
    [DP_METRIC_H2_RESETS] = {"penstock_agent_http2_resets_total", COUNTER,
                             .help = "Streams that callers took back (RST_STREAM)."},
    [DP_METRIC_H2_REFUSED] = {"penstock_agent_http2_refused_total", COUNTER,
                              .help = "Streams of callers beyond --connections-max on all "
                                      "connections together."},
    [DP_METRIC_H2_MALFORMED] = {"penstock_agent_http2_malformed_total", COUNTER,
                                .help = "Messages and frames against the rules of HTTP/2: the "
                                        "stream was reset or the connection ended."},
    [DP_METRIC_H2_FLOODS] = {"penstock_agent_http2_floods_total", COUNTER,
                             .help = "Connections that ended with ENHANCE_YOUR_CALM, by what there "
                                     "was too much of.",
                             LABEL("kind", floods)},
    [DP_METRIC_TLS_HANDSHAKES] = {"penstock_agent_tls_handshakes_total", COUNTER,
                                  .help = "TLS handshakes of callers that ended well.",
                                  LABEL("version", tls_versions)},
    [DP_METRIC_TLS_RESUMED] = {"penstock_agent_tls_resumed_total", COUNTER,
                               .help = "Of those, handshakes that went on with an earlier "
                                       "session."},
    [DP_METRIC_TLS_FAILURES] = {"penstock_agent_tls_failures_total", COUNTER,
                                .help = "TLS handshakes of callers that failed, by reason.",
                                LABEL("reason", tls_failures)},
    [DP_METRIC_TLS_UNVERIFIED] = {"penstock_agent_tls_unverified_total", COUNTER,
                                  .help = "Connections of callers without the certificate that "
                                          "their domain asks for."},
    [DP_METRIC_TLS_CONTEXTS] = {"penstock_agent_tls_contexts", GAUGE,
                                .help = "Ways to serve a domain over TLS that workers have set "
                                        "up."},
    [DP_METRIC_TLS_SHAKING] = {"penstock_agent_tls_handshakes_in_progress", GAUGE,
                               .help = "TLS handshakes of callers now; --tls-handshakes-max."},
    [DP_METRIC_TLS_FLOODS] = {"penstock_agent_tls_floods_total", COUNTER,
                              .help = "Connections of callers that ended for messages of TLS "
                                      "itself: too many without data between them, or answers "
                                      "to them that were not read.",
                              LABEL("reason", tls_floods)},
    [DP_METRIC_UPSTREAM_CONNECTIONS] = {"penstock_agent_upstream_connections", GAUGE,
                                        .help = "Connections to backends now."},
    [DP_METRIC_UPSTREAM_IDLE] = {"penstock_agent_upstream_idle_connections", GAUGE,
                                 .help = "Connections to backends that wait for a request."},
    [DP_METRIC_UPSTREAM_CONNECTS] = {"penstock_agent_upstream_connects_total", COUNTER,
                                     .help = "Attempts to connect to a backend."},
    [DP_METRIC_UPSTREAM_CONNECT_FAILURES] = {"penstock_agent_upstream_connect_failures_total",
                                             COUNTER, .help = "Attempts to connect that failed."},
    [DP_METRIC_UPSTREAM_TLS_FAILURES] = {"penstock_agent_upstream_tls_failures_total", COUNTER,
                                         .help = "Of those, TLS handshakes that failed, for the "
                                                 "certificate among others."},
    [DP_METRIC_UPSTREAM_REUSES] = {"penstock_agent_upstream_reuses_total", COUNTER,
                                   .help = "Requests sent on a connection that was there."},
    [DP_METRIC_UPSTREAM_STALE] = {"penstock_agent_upstream_stale_total", COUNTER,
                                  .help = "Kept connections that the backend had closed."},
    [DP_METRIC_UPSTREAM_RETRIES] = {"penstock_agent_upstream_retries_total", COUNTER,
                                    .help = "Attempts at a backend after the first."},
    [DP_METRIC_UPSTREAM_RETRIES_REFUSED] = {"penstock_agent_upstream_retries_refused_total",
                                            COUNTER,
                                            .help = "Retries that the retry budget forbade."},
    [DP_METRIC_UPSTREAM_TIMEOUTS] = {"penstock_agent_upstream_timeouts_total", COUNTER,
                                     .help = "Attempts that a backend did not answer in time."},
    [DP_METRIC_TUNNELS] = {"penstock_agent_tunnels", GAUGE, .help = "Open WebSocket connections."},
    [DP_METRIC_STREAM_TIMEOUTS] = {"penstock_agent_stream_timeouts_total", COUNTER,
                                   .help = "WebSocket connections and event streams that ended "
                                           "because nothing moved in them."},
    [DP_METRIC_SPLICED] = {"penstock_agent_spliced_bytes_total", COUNTER,
                           .help = "Bytes of bodies that went from socket to socket without being "
                                   "copied."},
    [DP_METRIC_UPSTREAM_SESSIONS] = {"penstock_agent_upstream_http2_sessions", GAUGE,
                                     .help = "Of the connections to backends, those of HTTP/2."},
    [DP_METRIC_UPSTREAM_STREAMS] = {"penstock_agent_upstream_http2_streams", GAUGE,
                                    .help = "Requests on them now, those that wait among them."},
    [DP_METRIC_UPSTREAM_STREAMS_OPENED] = {"penstock_agent_upstream_http2_streams_total", COUNTER,
                                           .help = "Requests sent over HTTP/2."},
    [DP_METRIC_UPSTREAM_STREAMS_REFUSED] = {"penstock_agent_upstream_http2_refused_total", COUNTER,
                                            .help = "Of those, the ones that a backend said it "
                                                    "has not processed; they are sent again."},
    [DP_METRIC_UPSTREAM_GOAWAYS] = {"penstock_agent_upstream_http2_goaways_total", COUNTER,
                                    .help = "Sessions that a backend ended by GOAWAY."},
    [DP_METRIC_UPSTREAM_HTTP2_FAILURES] = {"penstock_agent_upstream_http2_failures_total", COUNTER,
                                           .help = "Attempts to connect that found no HTTP/2."},
    [DP_METRIC_UPSTREAM_FLOODS] = {"penstock_agent_upstream_http2_floods_total", COUNTER,
                                   .help = "Sessions ended for frames that carry nothing."},
    [DP_METRIC_UPSTREAM_DEAD] = {"penstock_agent_upstream_http2_dead_total", COUNTER,
                                 .help = "Sessions ended because a PING was not answered."},
};
