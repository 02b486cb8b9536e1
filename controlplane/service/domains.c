/* SPDX-License-Identifier: Apache-2.0 */
/* Domains of groups. What they say of TLS is checked against the certificates that they use, here
 * and when a certificate changes (certificates.c). */
#include "controlplane/service/domains.h"

#include "controlplane/model/check_domain.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/seen.h"
#include "controlplane/service/services.h"

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    (void)before;
    return cp_check_domain((const cp_domain *)message, err);
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    (void)arena;
    cp_fill_domain((cp_domain *)message);
}

/* ---- certificates */

static void drop_certificates(struct cp_change *change, const cp_domain *domain)
{
    for (size_t i = 0; i < domain->n_certificates; i++)
        cp_change_unrefer(change, CP_KIND_DOMAIN, domain->name, CP_KIND_CERTIFICATE,
                          domain->certificates[i]);
}

/* Also those that it used before: their guards tell who changes one of them meanwhile that the
 * domain is not as it was. */
static int take_certificates(const struct cp_call *call, struct cp_change *change,
                             const cp_domain *domain, struct gw_error *err)
{
    const cp_certificate *certificates[CP_DOMAIN_CERTIFICATES_MAX];
    for (size_t i = 0; i < domain->n_certificates; i++) {
        struct cp_stored stored;
        const char *name = domain->certificates[i];
        if (cp_get(call, CP_KIND_CERTIFICATE, name, &stored, err) < 0)
            return -1;
        cp_change_expect(change, cp_key_of(change->arena, CP_KIND_CERTIFICATE, name),
                         stored.mod_revision);
        cp_change_refer(change, CP_KIND_DOMAIN, domain->name, CP_KIND_CERTIFICATE, name);
        certificates[i] = (const cp_certificate *)stored.message;
    }
    return cp_check_domain_tls(domain, certificates, err);
}

int cp_domain_takes(const struct cp_call *call, const cp_domain *domain,
                    const cp_certificate *certificate, struct gw_error *err)
{
    const cp_certificate *certificates[CP_DOMAIN_CERTIFICATES_MAX];
    struct gw_error why;
    for (size_t i = 0; i < GW_MIN(domain->n_certificates, GW_ARRAY_LEN(certificates)); i++) {
        struct cp_stored stored;
        certificates[i] = certificate;
        if (strcmp(domain->certificates[i], certificate->name) == 0)
            continue;
        if (cp_get(call, CP_KIND_CERTIFICATE, domain->certificates[i], &stored, err) < 0)
            return -1;
        certificates[i] = (const cp_certificate *)stored.message;
    }
    if (cp_check_domain_tls(domain, certificates, &why) == 0)
        return 0;
    return gw_fail(err, GW_FAILED_PRECONDITION, "%s uses it, and would not be served: %s %s",
                   cp_shown_name(call, gw_str_from(domain->name)), why.violations[0].field,
                   why.violations[0].rule);
}

/* ---- writes */

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    const cp_domain *domain = (const cp_domain *)message;
    if (before)
        drop_certificates(change, (const cp_domain *)before);
    if (take_certificates(call, change, domain, err) < 0)
        return -1;
    if (before)
        return 0;
    return cp_change_claim(call, change, CP_DOMAINS_INDEX, gw_str_from(cp_name_last(domain->name)),
                           domain->name, err);
}

void cp_drop_domain(struct cp_change *change, const cp_domain *domain)
{
    cp_change_delete(change, cp_key_of(change->arena, CP_KIND_DOMAIN, domain->name));
    cp_change_release(change, CP_DOMAINS_INDEX, gw_str_from(cp_name_last(domain->name)));
    drop_certificates(change, domain);
}

static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    (void)call;
    (void)err;
    cp_drop_domain(change, (const cp_domain *)before);
    return 0;
}

const struct cp_resource_rules cp_domain_rules = {
    .kind = CP_KIND_DOMAIN,
    .field = "domain",
    .list_field = "domains",
    .list_reply = CP_TYPE(list_domains_response),
    .quota = CP_QUOTA_DOMAINS,
    .check = check,
    .fill = fill,
    .prepare = prepare,
    .prepare_delete = prepare_delete,
};
CP_RESOURCE_HANDLERS(domain, domains, cp_domain_rules)

static const struct cp_method methods[] = {
    {"GetDomain", CP_ROLE_VIEWER, get_domain},
    {"ListDomains", CP_ROLE_VIEWER, list_domains},
    {"CreateDomain", CP_ROLE_OPERATOR, create_domain},
    {"UpdateDomain", CP_ROLE_OPERATOR, update_domain},
    {"DeleteDomain", CP_ROLE_OPERATOR, delete_domain},
};
const struct cp_service cp_domain_service = {&penstock__admin__v1__domain_service__descriptor,
                                             methods, GW_ARRAY_LEN(methods)};
