/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates may say, and what they are good for. Pure: the time is an argument. Messages
 * never hold any part of a private key. */
#ifndef CP_MODEL_CHECK_CERTIFICATE_H
#define CP_MODEL_CHECK_CERTIFICATE_H

#include "common/arena.h"
#include "common/error.h"
#include "controlplane/model/types.h"

#define CP_CERTIFICATE_PEM_MAX (64 * 1024) /* bytes; of the authorities as well */
#define CP_PRIVATE_KEY_PEM_MAX (16 * 1024)
#define CP_CERTIFICATE_CHAIN_MAX 10
#define CP_CERTIFICATE_AUTHORITIES_MAX 100
#define CP_CERTIFICATE_NAMES_SHOWN 100
#define CP_PRIVATE_KEY_FIELD "private_key_pem" /* what the sealed key is bound to */
#define CP_CERTIFICATE_LAST_S 0x7fffffff       /* 2038-01-19T03:14:07Z, seconds since the epoch */

/* All that is wrong with it, as violations. before: what is stored, NULL at creation; without a new
 * private key the one of before stays and must fit, and what was good then may have expired. */
GW_MUST_CHECK int cp_check_certificate(const cp_certificate *certificate,
                                       const cp_certificate *before, int64_t now_s,
                                       struct gw_error *err);
/* Writes what is output only, out of a certificate_pem that has been checked. */
void cp_fill_certificate(struct gw_arena *arena, cp_certificate *certificate);
/* private_key_pem, checked, in the one form that is sealed: PKCS #8, nothing around it. */
GW_MUST_CHECK int cp_certificate_key(struct gw_arena *arena, const char *private_key_pem,
                                     gw_str *ret_key, struct gw_error *err);

/* ---- what it is good for; of one that is stored */

/* "api.example.com", or "*.example.com", which only the same wildcard covers. */
bool cp_certificate_covers(const cp_certificate *certificate, const char *host);
/* Callers accept it from a server: by its extended key usage. */
bool cp_certificate_is_for_servers(const cp_certificate *certificate);
/* Whoever can use `before` can use `after` as well: no domain needs to be looked at. */
bool cp_certificate_is_as_good(const cp_certificate *before, const cp_certificate *after);

#endif
