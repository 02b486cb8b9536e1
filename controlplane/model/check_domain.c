/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_domain.h"

#include "controlplane/model/check.h"
#include "controlplane/model/check_certificate.h"
#include "controlplane/model/names.h"

#include <stdio.h>

static const char *place(char ret_field[GW_ERROR_FIELD_MAX], const char *list, size_t index)
{
    (void)snprintf(ret_field, GW_ERROR_FIELD_MAX, "%s[%zu]", list, index);
    return ret_field;
}

/* ---- cipher suites */

/* Those of the proto; the kind of key is their second word. */
static const struct {
    const char *name;
    bool is_old; /* also for TLS 1.1 */
} suites[] = {
    {"AES128-GCM-SHA256", false}, {"AES256-GCM-SHA384", false}, {"CHACHA20-POLY1305", false},
    {"AES128-SHA256", false},     {"AES256-SHA384", false},     {"AES128-SHA", true},
    {"AES256-SHA", true},
};

/* False: not known. */
static bool read_cipher(const char *name, Penstock__Admin__V1__KeyAlgorithm *ret_algorithm,
                        bool *ret_is_old)
{
    gw_str text = gw_str_from(name);
    bool is_rsa = gw_str_has_prefix(text, GW_STR("ECDHE-RSA-"));
    if (!is_rsa && !gw_str_has_prefix(text, GW_STR("ECDHE-ECDSA-")))
        return false;
    const char *suite = name + strlen(is_rsa ? "ECDHE-RSA-" : "ECDHE-ECDSA-");
    *ret_algorithm = is_rsa ? CP_ENUM(KEY_ALGORITHM, RSA) : CP_ENUM(KEY_ALGORITHM, ECDSA);
    for (size_t i = 0; i < GW_ARRAY_LEN(suites); i++) {
        *ret_is_old = suites[i].is_old;
        if (strcmp(suite, suites[i].name) == 0)
            return true;
    }
    return false;
}

static void check_ciphers(const cp_domain *domain, struct gw_error *err)
{
    char field[GW_ERROR_FIELD_MAX];
    Penstock__Admin__V1__KeyAlgorithm algorithm;
    bool is_old;
    if (domain->n_tls_ciphers > CP_DOMAIN_CIPHERS_MAX) {
        (void)gw_fail_field(err, "tls_ciphers", "must be at most %d", CP_DOMAIN_CIPHERS_MAX);
        return;
    }
    if (domain->n_tls_ciphers > 0 && domain->min_tls_version == CP_ENUM(TLS_VERSION, 1_3))
        (void)gw_fail_field(err, "tls_ciphers",
                            "are of TLS 1.2 and below: not with min_tls_version TLS_VERSION_1_3");
    for (size_t i = 0; i < domain->n_tls_ciphers; i++) {
        if (!read_cipher(domain->tls_ciphers[i], &algorithm, &is_old))
            (void)gw_fail_field(err, place(field, "tls_ciphers", i),
                                "\"%.40s\" is none of "
                                "ECDHE-{ECDSA,RSA}-{AES128-GCM-SHA256,AES256-GCM-SHA384,"
                                "CHACHA20-POLY1305,AES128-SHA256,AES256-SHA384,AES128-SHA,"
                                "AES256-SHA}",
                                domain->tls_ciphers[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(domain->tls_ciphers[i], domain->tls_ciphers[k]) == 0)
                (void)gw_fail_field(err, place(field, "tls_ciphers", i),
                                    "is the same as tls_ciphers[%zu]", k);
    }
}

/* Can callers of the lowest version that is let in agree on one of them with such a key? */
static bool has_cipher(const cp_domain *domain, Penstock__Admin__V1__KeyAlgorithm wanted)
{
    bool needs_old = domain->min_tls_version == CP_ENUM(TLS_VERSION, 1_1);
    for (size_t i = 0; i < domain->n_tls_ciphers; i++) {
        Penstock__Admin__V1__KeyAlgorithm algorithm;
        bool is_old;
        if (read_cipher(domain->tls_ciphers[i], &algorithm, &is_old) && algorithm == wanted &&
            (is_old || !needs_old))
            return true;
    }
    return domain->n_tls_ciphers == 0;
}

/* ---- by itself */

static void check_names(const cp_domain *domain, struct gw_error *err)
{
    char field[GW_ERROR_FIELD_MAX];
    if (domain->n_certificates > CP_DOMAIN_CERTIFICATES_MAX)
        (void)gw_fail_field(err, "certificates",
                            "must be at most %d: one with an RSA key, one with an ECDSA key",
                            CP_DOMAIN_CERTIFICATES_MAX);
    for (size_t i = 0; i < GW_MIN(domain->n_certificates, (size_t)CP_DOMAIN_CERTIFICATES_MAX); i++)
        if (!cp_name_is(CP_KIND_CERTIFICATE, domain->certificates[i]))
            (void)gw_fail_field(err, place(field, "certificates", i),
                                "must be \"certificates/{certificate}\"");
    if (domain->n_certificates == 2 &&
        strcmp(domain->certificates[0], domain->certificates[1]) == 0)
        (void)gw_fail_field(err, "certificates[1]", "is the same as certificates[0]");
    if (domain->n_certificates == 0 && domain->verify_client_certificate)
        (void)gw_fail_field(err, "verify_client_certificate", "needs a certificate");
    if (domain->n_certificates == 0 && domain->https_redirect)
        (void)gw_fail_field(err, "https_redirect", "needs a certificate");
}

int cp_check_domain(const cp_domain *domain, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    cp_check_characters(domain->display_name, 1, 255, "display_name", err);
    check_names(domain, err);
    if ((unsigned)domain->min_tls_version > CP_ENUM(TLS_VERSION, 1_3))
        (void)gw_fail_field(err, "min_tls_version", "is not known");
    check_ciphers(domain, err);
    return err->code == GW_OK ? 0 : -1;
}

void cp_fill_domain(cp_domain *domain)
{
    if (domain->n_certificates > 0 && domain->min_tls_version == CP_ENUM(TLS_VERSION, UNSPECIFIED))
        domain->min_tls_version = CP_ENUM(TLS_VERSION, 1_2);
}

/* ---- with its certificates */

static void check_one(const cp_domain *domain, const cp_certificate *certificate, size_t index,
                      struct gw_error *err)
{
    char field[GW_ERROR_FIELD_MAX];
    const char *host = cp_name_last(domain->name);
    (void)place(field, "certificates", index);
    if (!*certificate->certificate_pem)
        (void)gw_fail_field(err, field, "has authorities alone: it cannot serve a domain");
    else if (!cp_certificate_is_for_servers(certificate))
        (void)gw_fail_field(err, field, "its extended key usage does not allow TLS servers");
    else if (!cp_certificate_covers(certificate, host))
        (void)gw_fail_field(err, field, "does not name %s", host);
    else if (!has_cipher(domain, certificate->key_algorithm))
        (void)gw_fail_field(err, "tls_ciphers", "has none for %s%s", domain->certificates[index],
                            domain->min_tls_version == CP_ENUM(TLS_VERSION, 1_1) ? " and TLS 1.1"
                                                                                 : "");
}

int cp_check_domain_tls(const cp_domain *domain, const cp_certificate *const *certificates,
                        struct gw_error *err)
{
    bool has_authorities = false;
    *err = GW_ERROR_NONE;
    for (size_t i = 0; i < domain->n_certificates; i++) {
        check_one(domain, certificates[i], i, err);
        has_authorities |= *certificates[i]->client_ca_pem != '\0';
    }
    if (domain->n_certificates == 2 && err->code == GW_OK &&
        certificates[0]->key_algorithm == certificates[1]->key_algorithm)
        (void)gw_fail_field(err, "certificates[1]",
                            "has the same kind of key as certificates[0]: there may be one with an "
                            "RSA key and one with an ECDSA key");
    if (domain->verify_client_certificate && !has_authorities)
        (void)gw_fail_field(err, "verify_client_certificate",
                            "needs a certificate with client_ca_pem");
    return err->code == GW_OK ? 0 : -1;
}
