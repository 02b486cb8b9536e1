/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's metrics: one table (agent_metrics.c), named here. Series per route and of the process
 * are added by ops.c and common/metrics. */
#ifndef DP_OBSERVE_AGENT_METRICS_H
#define DP_OBSERVE_AGENT_METRICS_H

#include "common/metrics.h"

/* Rows of the table; written by each worker's observer unless said otherwise. */
#define DP_METRIC_GRPC_OTHER 17

enum dp_metric {
    DP_METRIC_BUILD_INFO,      /* main */
    DP_METRIC_UPGRADES_FAILED, /* main */
    DP_METRIC_REQUESTS,        /* by enum dp_metric_class */
    DP_METRIC_REFUSALS,        /* by enum dp_refusal, less one */
    DP_METRIC_CUT,
    DP_METRIC_REQUEST_DURATION,  /* ns */
    DP_METRIC_UPSTREAM_DURATION, /* ns */
    DP_METRIC_BYTES_IN,
    DP_METRIC_BYTES_OUT,
    DP_METRIC_GRPC_STATUSES, /* by number, those of DP_METRIC_GRPC_OTHER and beyond together */
    DP_METRIC_GZIP_ANSWERS,
    DP_METRIC_GZIP_BYTES_IN,
    DP_METRIC_GZIP_BYTES_OUT,
    DP_METRIC_GZIP_LIMITED,
    DP_METRIC_CONNECTIONS,
    DP_METRIC_CONNECTIONS_ACCEPTED,
    DP_METRIC_CONNECTIONS_REFUSED,
    DP_METRIC_ACCEPT_FAILURES,
    DP_METRIC_PROXY_REFUSED,
    DP_METRIC_TIMEOUTS,  /* by enum dp_metric_timeout */
    DP_METRIC_PROTOCOLS, /* by enum dp_metric_protocol */
    DP_METRIC_H2_CONNECTIONS,
    DP_METRIC_H2_STREAMS,
    DP_METRIC_H2_RESETS,
    DP_METRIC_H2_REFUSED,
    DP_METRIC_H2_MALFORMED,
    DP_METRIC_H2_FLOODS,      /* by enum dp_h2_flood */
    DP_METRIC_TLS_HANDSHAKES, /* by version of TLS 1.x, less one */
    DP_METRIC_TLS_RESUMED,
    DP_METRIC_TLS_FAILURES, /* by enum dp_tls_failure */
    DP_METRIC_TLS_UNVERIFIED,
    DP_METRIC_TLS_CONTEXTS,
    DP_METRIC_TLS_SHAKING,
    DP_METRIC_TLS_FLOODS, /* by enum dp_tls_flood, less one */
    DP_METRIC_UPSTREAM_CONNECTIONS,
    DP_METRIC_UPSTREAM_IDLE,
    DP_METRIC_UPSTREAM_CONNECTS,
    DP_METRIC_UPSTREAM_CONNECT_FAILURES,
    DP_METRIC_UPSTREAM_TLS_FAILURES,
    DP_METRIC_UPSTREAM_REUSES,
    DP_METRIC_UPSTREAM_STALE,
    DP_METRIC_UPSTREAM_RETRIES,
    DP_METRIC_UPSTREAM_RETRIES_REFUSED,
    DP_METRIC_UPSTREAM_TIMEOUTS,
    DP_METRIC_TUNNELS,
    DP_METRIC_STREAM_TIMEOUTS,
    DP_METRIC_SPLICED,
    DP_METRIC_UPSTREAM_SESSIONS,
    DP_METRIC_UPSTREAM_STREAMS,
    DP_METRIC_UPSTREAM_STREAMS_OPENED,
    DP_METRIC_UPSTREAM_STREAMS_REFUSED,
    DP_METRIC_UPSTREAM_GOAWAYS,
    DP_METRIC_UPSTREAM_HTTP2_FAILURES,
    DP_METRIC_UPSTREAM_FLOODS,
    DP_METRIC_UPSTREAM_DEAD,
    DP_METRIC_COUNT
};

/* Of a status: "1xx" to "5xx", and callers that left before an answer. */
enum dp_metric_class {
    DP_CLASS_1XX,
    DP_CLASS_2XX,
    DP_CLASS_3XX,
    DP_CLASS_4XX,
    DP_CLASS_5XX,
    DP_CLASS_GONE,
    DP_CLASS_COUNT
};
/* Of connections of callers. */
enum dp_metric_timeout {
    DP_TIMEOUT_IDLE,
    DP_TIMEOUT_HEAD,
    DP_TIMEOUT_BODY,
    DP_TIMEOUT_WRITE,
    DP_TIMEOUT_HANDSHAKE,
    DP_TIMEOUT_COUNT
};

/* Of a request whose head was whole. */
enum dp_metric_protocol {
    DP_PROTOCOL_HTTP1_0,
    DP_PROTOCOL_HTTP1_1,
    DP_PROTOCOL_HTTP2,
    DP_PROTOCOL_COUNT
};

extern const struct gw_metric dp_agent_metrics[DP_METRIC_COUNT];

#endif
