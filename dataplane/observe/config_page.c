/* SPDX-License-Identifier: Apache-2.0 */
/* /config: what this agent serves, as JSON. Names, paths and addresses; of apps only how many there
 * are, and nothing of credentials. */
#include "dataplane/observe/status.h"
#include "dataplane/upstream/endpoint.h"

#include <inttypes.h>
#include <stdio.h>

/* The text in the making. */
struct page {
    struct gw_buf *out;
    bool needs_comma;
};

/* out has no limit, so that this cannot fail. */
static void put(struct page *page, gw_str text)
{
    int result = gw_buf_append(page->out, text);
    assert(result == 0);
    (void)result;
}

static void put_string(struct page *page, gw_str text)
{
    char scratch[8];
    put(page, GW_STR("\""));
    while (text.len > 0)
        put(page, gw_str_json_step(&text, scratch));
    put(page, GW_STR("\""));
}

/* Where a value begins; key empty: an element of a list. */
static void begin(struct page *page, gw_str key)
{
    if (page->needs_comma)
        put(page, GW_STR(","));
    page->needs_comma = true;
    if (key.len == 0)
        return;
    put_string(page, key);
    put(page, GW_STR(":"));
}

static void open_with(struct page *page, gw_str key, gw_str bracket)
{
    begin(page, key);
    put(page, bracket);
    page->needs_comma = false;
}

static void close_with(struct page *page, gw_str bracket)
{
    put(page, bracket);
    page->needs_comma = true;
}

static void put_text(struct page *page, gw_str key, gw_str text)
{
    begin(page, key);
    put_string(page, text);
}

static void put_number(struct page *page, gw_str key, int64_t number)
{
    char text[24];
    begin(page, key);
    put(page, gw_str_n(text, (size_t)snprintf(text, sizeof(text), "%" PRId64, number)));
}

static void put_bool(struct page *page, gw_str key, bool value)
{
    begin(page, key);
    put(page, value ? GW_STR("true") : GW_STR("false"));
}

/* ---- what there is */

static void put_member(struct page *page, const struct dp_member *member)
{
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    unsigned count = dp_endpoint_addresses(member->endpoint, addresses);
    open_with(page, GW_STR_NONE, GW_STR("{"));
    put_text(page, GW_STR("endpoint"), dp_endpoint_name(member->endpoint));
    put_number(page, GW_STR("weight"), member->weight);
    put_bool(page, GW_STR("backup"), member->backup);
    open_with(page, GW_STR("addresses"), GW_STR("["));
    for (unsigned i = 0; i < count; i++) {
        char text[DP_ADDRESS_TEXT_MAX];
        put_text(page, GW_STR_NONE, gw_str_n(text, dp_address_print(&addresses[i], text)));
    }
    close_with(page, GW_STR("]"));
    const char *error = dp_endpoint_error(member->endpoint);
    if (error)
        put_text(page, GW_STR("dns_error"), gw_str_from(error));
    close_with(page, GW_STR("}"));
}

static void put_backend(struct page *page, const struct dp_backend *backend)
{
    open_with(page, GW_STR("backend"), GW_STR("{"));
    if (backend->kind == DP_BACKEND_MOCK) {
        put_bool(page, GW_STR("mock"), true);
    } else {
        put_text(page, GW_STR("channel"), backend->channel->name);
        put_bool(page, GW_STR("tls"), backend->tls);
        put_number(page, GW_STR("timeout_ms"), backend->timeout_ms);
        open_with(page, GW_STR("members"), GW_STR("["));
        for (unsigned i = 0; i < backend->channel->member_count; i++)
            put_member(page, &backend->channel->members[i]);
        close_with(page, GW_STR("]"));
    }
    close_with(page, GW_STR("}"));
}

static void put_route(void *arg, const struct dp_route *route)
{
    struct page *page = arg;
    open_with(page, GW_STR_NONE, GW_STR("{"));
    put_text(page, GW_STR("name"), route->name);
    put_text(page, GW_STR("api_name"), route->api_name);
    put_text(page, GW_STR("path"), route->path);
    put_bool(page, GW_STR("is_prefix"), route->is_prefix);
    put_bool(page, GW_STR("http"), route->http);
    put_bool(page, GW_STR("https"), route->https);
    open_with(page, GW_STR("filters"), GW_STR("["));
    for (unsigned i = 0; i < route->link_count; i++)
        put_text(page, GW_STR_NONE, gw_str_from(route->links[i].filter->name));
    close_with(page, GW_STR("]"));
    put_backend(page, &route->backend);
    close_with(page, GW_STR("}"));
}

static void put_host(void *arg, gw_str host, const void *value)
{
    struct page *page = arg;
    const struct dp_host *settings = value;
    open_with(page, GW_STR_NONE, GW_STR("{"));
    put_text(page, GW_STR("host"), host);
    put_text(page, GW_STR("group"), settings->group);
    put_bool(page, GW_STR("is_debug"), settings->is_debug);
    close_with(page, GW_STR("}"));
}

static void put_refused(void *arg, const struct dp_refused *refused)
{
    struct page *page = arg;
    open_with(page, GW_STR_NONE, GW_STR("{"));
    put_text(page, GW_STR("name"), gw_str_from(refused->name));
    put_text(page, GW_STR("reason"), gw_str_from(refused->reason));
    put_number(page, GW_STR("revision"), refused->revision);
    close_with(page, GW_STR("}"));
}

static void put_snapshot(struct page *page, const struct dp_snapshot *snapshot)
{
    put_text(page, GW_STR("cluster_id"), dp_snapshot_cluster_id(snapshot));
    put_number(page, GW_STR("revision"), dp_snapshot_revision(snapshot));
    put_number(page, GW_STR("apps"), (int64_t)dp_snapshot_app_count(snapshot));
    open_with(page, GW_STR("hosts"), GW_STR("["));
    dp_router_each_host(dp_snapshot_router(snapshot), put_host, page);
    close_with(page, GW_STR("]"));
    open_with(page, GW_STR("routes"), GW_STR("["));
    dp_snapshot_each_route(snapshot, put_route, page);
    close_with(page, GW_STR("]"));
}

unsigned dp_status_write_config(void *arg, struct gw_buf *body)
{
    struct dp_status *status = arg;
    const struct dp_status_sources *sources = &status->sources;
    struct page page = {.out = body};
    struct dp_sync_status sync = {0};
    struct dp_snapshot *snapshot = dp_status_snapshot(status);
    sources->read_sync(sources->arg, &sync);
    open_with(&page, GW_STR_NONE, GW_STR("{"));
    put_text(&page, GW_STR("agent_id"), gw_str_from(sources->agent_id));
    put_text(&page, GW_STR("version"), GW_STR(PENSTOCK_VERSION));
    put_bool(&page, GW_STR("connected"), sync.connected);
    put_text(&page, GW_STR("last_error"), gw_str_from(sync.last_error));
    open_with(&page, GW_STR("refused"), GW_STR("["));
    sources->read_refusals(sources->arg, put_refused, &page);
    close_with(&page, GW_STR("]"));
    if (snapshot)
        put_snapshot(&page, snapshot);
    close_with(&page, GW_STR("}"));
    put(&page, GW_STR("\n"));
    dp_snapshot_unref(snapshot);
    return 200;
}
