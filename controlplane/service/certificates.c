/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates. Private keys come in and are sealed; they are never shown. Domains, drafts and
 * releases refer to what they use. */
#include "controlplane/service/certificates.h"
#include "controlplane/model/check_certificate.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/domains.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/seen.h"
#include "controlplane/service/services.h"

#define NO_BYTES ((ProtobufCBinaryData){0, NULL})

static char *no_text(void)
{
    return (char *)(uintptr_t) "";
}

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    return cp_check_certificate((const cp_certificate *)message, (const cp_certificate *)before,
                                gw_clock_wall_ms() / 1000, err);
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_fill_certificate(arena, (cp_certificate *)message);
}

/* ---- the private key */

static struct cp_seal_place place_of(const cp_certificate *certificate)
{
    return (struct cp_seal_place){certificate->name, CP_PRIVATE_KEY_FIELD};
}

static gw_str sealed_key(const cp_certificate *certificate)
{
    return gw_str_n((const char *)certificate->sealed_private_key.data,
                    certificate->sealed_private_key.len);
}

static int put_key(const struct cp_call *call, cp_certificate *certificate, gw_str key,
                   struct gw_error *err)
{
    gw_str sealed;
    if (cp_seal_close(call->services->seal, place_of(certificate), key, call->arena, &sealed, err) <
        0)
        return -1;
    certificate->sealed_private_key =
        (ProtobufCBinaryData){sealed.len, (uint8_t *)(uintptr_t)sealed.ptr};
    return 0;
}

/* The key that is there, under the key for secrets that is the first one now. */
int cp_certificate_reseal(const struct cp_call *call, cp_certificate *certificate,
                          struct gw_error *err)
{
    gw_str key, sealed = sealed_key(certificate);
    if (sealed.len == 0 || cp_seal_is_current(call->services->seal, sealed))
        return 0;
    if (cp_seal_open(call->services->seal, place_of(certificate), sealed, call->arena, &key, err) <
        0)
        return -1;
    return put_key(call, certificate, key, err);
}

/* Sealing the same key again would look like a change. */
static bool is_there(const struct cp_call *call, const cp_certificate *certificate, gw_str key)
{
    gw_str there;
    struct gw_error ignored;
    const struct cp_seal *seal = call->services->seal;
    return cp_seal_is_current(seal, sealed_key(certificate)) &&
           cp_seal_open(seal, place_of(certificate), sealed_key(certificate), call->arena, &there,
                        &ignored) == 0 &&
           gw_str_eq_secret(there, key);
}

static int seal(const struct cp_call *call, ProtobufCMessage *message,
                const ProtobufCMessage *before, struct gw_error *err)
{
    (void)before;
    gw_str key;
    struct gw_error ignored;
    cp_certificate *certificate = (cp_certificate *)message;
    const char *sent = certificate->private_key_pem;
    certificate->private_key_pem = no_text();
    if (!*certificate->certificate_pem) {
        certificate->sealed_private_key = NO_BYTES;
        return 0;
    }
    if (!*sent) {
        (void)cp_certificate_reseal(call, certificate, &ignored); /* else it stays as it is */
        return 0;
    }
    if (cp_certificate_key(call->arena, sent, &key, err) < 0)
        return -1;
    return is_there(call, certificate, key) ? 0 : put_key(call, certificate, key, err);
}

static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    (void)call;
    (void)err;
    ((cp_certificate *)message)->private_key_pem = no_text();
    ((cp_certificate *)message)->sealed_private_key = NO_BYTES;
    return 0;
}

/* ---- domains that use it */

struct users {
    const struct cp_call *call;
    const cp_certificate *certificate; /* as it shall be */
};

static int check_user(void *arg, const char *domain, struct gw_error *err)
{
    struct cp_stored stored;
    const struct users *users = arg;
    if (cp_find(users->call, CP_KIND_DOMAIN, domain, &stored, err) < 0)
        return -1;
    if (!stored.message)
        return 0; /* it went away meanwhile */
    return cp_domain_takes(users->call, (const cp_domain *)stored.message, users->certificate, err);
}

/* ---- APIs that use it toward their backends */

/* Without the gateway's certificate backends refuse it; without authorities of its own any
 * authority's backend would do. */
static int check_backends(const struct cp_call *call, const cp_certificate *before,
                          const cp_certificate *after, struct gw_error *err)
{
    static const enum cp_kind_id kinds[] = {CP_KIND_API, CP_KIND_RELEASE};
    const char *lost = *before->client_ca_pem && !*after->client_ca_pem       ? "client_ca_pem"
                       : *before->certificate_pem && !*after->certificate_pem ? "certificate_pem"
                                                                              : NULL;
    for (size_t i = 0; lost && i < GW_ARRAY_LEN(kinds); i++) {
        struct cp_page page;
        if (cp_referrers(call, kinds[i], CP_KIND_CERTIFICATE, before->name, 1, &page, err) < 0)
            return -1;
        if (page.count > 0)
            return gw_fail(err, GW_FAILED_PRECONDITION,
                           "%s uses it toward its backend, and would lose its %s",
                           cp_shown_name(call, page.kvs[0].value), lost);
    }
    return 0;
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    struct users users = {call, (const cp_certificate *)message};
    const char *name = users.certificate->name;
    if (!before || cp_certificate_is_as_good((const cp_certificate *)before, users.certificate))
        return 0;
    if (cp_change_guard(call, change, CP_KIND_CERTIFICATE, name, err) < 0 ||
        check_backends(call, (const cp_certificate *)before, users.certificate, err) < 0)
        return -1;
    return cp_each_referrer(call, CP_KIND_DOMAIN, CP_KIND_CERTIFICATE, name, check_user, &users,
                            err);
}

static const char *const output_only[] = {"common_name",        "subject_alternative_names",
                                          "not_before_time",    "not_after_time",
                                          "fingerprint_sha256", "key_algorithm",
                                          "sealed_private_key", NULL};
const struct cp_resource_rules cp_certificate_rules = {
    .kind = CP_KIND_CERTIFICATE,
    .field = "certificate",
    .list_field = "certificates",
    .list_reply = CP_TYPE(list_certificates_response),
    .output_only = output_only,
    .check = check,
    .fill = fill,
    .seal = seal,
    .prepare = prepare,
    .present = present,
};
CP_RESOURCE_HANDLERS(certificate, certificates, cp_certificate_rules)

static const struct cp_method methods[] = {
    {"GetCertificate", CP_ROLE_VIEWER, get_certificate},
    {"ListCertificates", CP_ROLE_VIEWER, list_certificates},
    {"CreateCertificate", CP_ROLE_ADMINISTRATOR, create_certificate},
    {"UpdateCertificate", CP_ROLE_ADMINISTRATOR, update_certificate},
    {"DeleteCertificate", CP_ROLE_ADMINISTRATOR, delete_certificate},
};
const struct cp_service cp_certificate_service = {
    &penstock__admin__v1__certificate_service__descriptor, methods, GW_ARRAY_LEN(methods)};
