/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/upkeep.h"

#include "common/log.h"
#include "controlplane/service/enrolments.h"
#include "controlplane/service/leader.h"
#include "controlplane/service/reseal.h"

#define COMPONENT "main"
#define ENROLMENTS_EVERY_MS ((gw_msec)3600 * 1000)

static void seed(struct cp_upkeep *upkeep)
{
    struct gw_error err = GW_ERROR_NONE;
    if (upkeep->is_seeded)
        return;
    upkeep->is_seeded = cp_services_seed(upkeep->services, &err) == 0;
    if (!upkeep->is_seeded)
        gw_log(GW_LOG_WARN, COMPONENT, "cannot write what always exists, trying again",
               gw_kv_error(&err));
}

/* What was stored before the keys for secrets were rotated. Once a term: who led before may have
 * had other keys. */
static void reseal(struct cp_upkeep *upkeep)
{
    unsigned count = 0;
    struct gw_error err = GW_ERROR_NONE;
    int64_t term = cp_leader_terms(upkeep->services->leader);
    if (upkeep->resealed_term == term)
        return;
    if (cp_services_reseal(upkeep->services, &count, &err) < 0) {
        gw_log(GW_LOG_WARN, COMPONENT, "cannot seal secrets again, trying again",
               gw_kv_error(&err));
        return;
    }
    upkeep->resealed_term = term;
    if (count > 0)
        gw_log(GW_LOG_INFO, COMPONENT, "secrets sealed again under the first key",
               gw_kv_int("records", count));
}

static void turn_ticket_keys(struct cp_upkeep *upkeep)
{
    struct gw_error err = GW_ERROR_NONE;
    gw_msec now_ms = gw_clock_wall_ms();
    if (now_ms < upkeep->ticket_turns.due_ms)
        return;
    static struct gw_log_limit limit;
    unsigned dropped;
    if (cp_ticket_keys_turn(upkeep->services, now_ms, &upkeep->ticket_turns, &err) &&
        gw_log_allow(&limit, 1, &dropped))
        gw_log(GW_LOG_WARN, COMPONENT, "cannot turn the ticket keys, trying again",
               gw_kv_error(&err), gw_kv_int("dropped", dropped));
}

static void clean_enrolments(struct cp_upkeep *upkeep)
{
    struct gw_error err = GW_ERROR_NONE;
    gw_msec now_ms = gw_clock_monotonic_ms();
    if (now_ms < upkeep->enrolments_due_ms)
        return;
    upkeep->enrolments_due_ms = now_ms + ENROLMENTS_EVERY_MS;
    if (cp_enrolments_clean(upkeep->services, gw_clock_wall_ms(), &err) < 0)
        gw_log(GW_LOG_WARN, COMPONENT, "cannot delete expired enrolments, trying again in an hour",
               gw_kv_error(&err));
}

void cp_upkeep_run(struct cp_upkeep *upkeep)
{
    seed(upkeep);
    if (!upkeep->services->seal || !cp_leader_leads(upkeep->services->leader))
        return;
    reseal(upkeep);
    turn_ticket_keys(upkeep);
    clean_enrolments(upkeep);
}

bool cp_upkeep_has_resealed(const struct cp_upkeep *upkeep)
{
    struct cp_leader *leader = upkeep->services->leader;
    return upkeep->services->seal && cp_leader_leads(leader) &&
           upkeep->resealed_term == cp_leader_terms(leader);
}
