/* SPDX-License-Identifier: Apache-2.0 */
/* Which method of the management API an HTTP request is, by descriptor: no resource is named here.
 *
 * A resource is what a method "Get" + its type answers with; the first quoted text in the comment
 * of its field `name` is the pattern of its names. Of "groups/{group}/apis/{api}": GET
 * /v1/groups/shop/apis/read           GetApi GET    /v1/groups/shop/apis?pageSize=9     ListApis
 *     POST   /v1/groups/shop/apis?apiId=read     CreateApi, the body is the resource
 *     PATCH  /v1/groups/shop/apis/read           UpdateApi, likewise; ?updateMask=
 *     DELETE /v1/groups/shop/apis/read?etag=     DeleteApi
 *     POST   /v1/groups/shop/apis/read:publish   PublishApi, the body is the request; GET for
 * methods that only read and whose request fits a query POST   /v1/groups/shop/apis:publish
 * PublishApis; with "-" as the parent's id it has none What concerns no resource of its service is
 * /v1/SERVICE:METHOD. Immutable once made; any thread. */
#ifndef CP_HTTP_JSON_ROUTES_H
#define CP_HTTP_JSON_ROUTES_H

#include "common/comments.h"
#include "common/rpc/server.h"

#define CP_JSON_PREFIX "/v1/"

enum cp_json_verb {
    CP_JSON_GET,
    CP_JSON_POST,
    CP_JSON_PATCH,
    CP_JSON_DELETE,
    CP_JSON_NO_VERB, /* any other one */
};
/* "GET"; "" for CP_JSON_NO_VERB. */
const char *cp_json_verb_name(enum cp_json_verb verb);

struct cp_json_route {
    const struct gw_rpc_method *method; /* borrowed from the table */
    gw_str service;                     /* "penstock.admin.v1.ApiService" */
    gw_str name;                        /* "PublishApi" */
    enum cp_json_verb verb;
    gw_str path;   /* "groups/{group}/apis/{api}", "groups/{group}/apis" */
    gw_str custom; /* "publish"; empty: a standard method */
    /* The request's text field that the path fills, with all of it or, of a collection, with all
     * but the last word; NULL: none. */
    const ProtobufCFieldDescriptor *subject;
    /* The request's message that is the body, whose name the path fills when it has one of PATCH;
     * NULL: none, or the whole request (is_body_request). */
    const ProtobufCFieldDescriptor *body;
    bool is_collection, is_body_request;
    bool is_stream;
};

struct cp_json_routes;

/* Of the table's methods in the package penstock.admin.v1; both are borrowed. */
struct cp_json_routes *cp_json_routes_new(const struct gw_rpc_method *methods, size_t count,
                                          const struct gw_comments *comments);
/* Takes NULL. */
void cp_json_routes_free(struct cp_json_routes *routes);
const struct cp_json_route *cp_json_routes_list(const struct cp_json_routes *routes,
                                                size_t *ret_count);

/* `path` stands behind CP_JSON_PREFIX, already decoded. *ret_subject: what its field gets. NULL:
 * there is none, and *ret_allowed has a bit (1 << verb) for each that the path is served for. */
const struct cp_json_route *cp_json_route_find(const struct cp_json_routes *routes,
                                               enum cp_json_verb verb, gw_str path,
                                               gw_str *ret_subject, unsigned *ret_allowed);

#endif
