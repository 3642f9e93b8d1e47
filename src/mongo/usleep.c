/* The driver's own sleeps, up to half a second between two looks around for a primary. */
#include <unistd.h>

#include "loop/fiber.h"
#include "mongo/stream.h"

static void rest(int64_t usec)
{
    if (sl_mongo_rushing() || usec <= 0)
        return;
    if (sl_fiber_self())
        sl_fiber_sleep((uint64_t)(usec + 999) / 1000);
    else
        usleep((useconds_t)usec);
}

#if MONGOC_CHECK_VERSION(1, 26, 0)

static void rest_for(int64_t usec, void *user_data)
{
    (void)user_data;
    rest(usec);
}

void sl_mongo_usleep_install(mongoc_client_t *client)
{
    mongoc_client_set_usleep_impl(client, rest_for, NULL);
}

#else

/* The library calls this exported function through its own symbol table, where a program's
 * definition comes first. */
void _mongoc_usleep(int64_t usec); // NOLINT(bugprone-reserved-identifier,cert-dcl37-c)

void _mongoc_usleep(int64_t usec) // NOLINT(bugprone-reserved-identifier,cert-dcl37-c)
{
    rest(usec);
}

void sl_mongo_usleep_install(mongoc_client_t *client)
{
    (void)client;
}

#endif
