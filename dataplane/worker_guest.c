/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that come from no listener: the debug tool's. Posted by any thread, answered like all
 * others, but by the snapshot that came with them. */
#include "dataplane/worker_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

struct dp_posted_guest {
    struct dp_posted_guest *next;
    int fd;
    struct dp_visit visit; /* its pinned snapshot has one user: the connection */
};

void dp_worker_post_guest(struct dp_worker *worker, const struct dp_guest *guest)
{
    struct dp_posted_guest *posted = gw_calloc(1, sizeof(*posted));
    posted->fd = guest->fd;
    posted->visit.https = guest->https;
    if (guest->snapshot) {
        posted->visit.pinned = gw_calloc(1, sizeof(*posted->visit.pinned));
        *posted->visit.pinned =
            (struct dp_pinned){.snapshot = dp_snapshot_ref(guest->snapshot), .users = 1};
    }
    posted->next = atomic_load(&worker->guests);
    while (!atomic_compare_exchange_weak(&worker->guests, &posted->next, posted)) {
    }
    ev_async_send(worker->loop.ev, &worker->wake);
}

static void forget(struct dp_posted_guest *guest)
{
    dp_worker_unpin(guest->visit.pinned);
    free(guest);
}

void dp_worker_take_guests(struct dp_worker *worker)
{
    const struct sockaddr_in self = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct dp_posted_guest *guest = atomic_exchange(&worker->guests, NULL), *next;
    for (; guest; guest = next) {
        struct dp_caller caller = {
            .address = dp_address_from((const struct sockaddr *)&self),
            .local_port = guest->visit.https ? 443 : 80,
            .context = &guest->visit,
        };
        next = guest->next;
        dp_server_accept(&worker->server, guest->fd, &caller, NULL);
    }
}

void dp_worker_end_visit(void *context)
{
    forget(gw_container_of(context, struct dp_posted_guest, visit));
}

void dp_worker_drop_guests(struct dp_worker *worker)
{
    struct dp_posted_guest *guest = atomic_exchange(&worker->guests, NULL), *next;
    for (; guest; guest = next) {
        next = guest->next;
        close(guest->fd);
        forget(guest);
    }
}

struct dp_pinned *dp_worker_pin_for(struct dp_worker *worker, const struct dp_visit *visit)
{
    if (!visit || !visit->pinned)
        return dp_worker_pin(worker);
    visit->pinned->users++;
    return visit->pinned;
}
