/* Places where the driver must do as we want. Two would hold the loop: its sleeps, up to half
 * a second between two looks around for a primary, and the derivation of the SCRAM key, 15,000
 * rounds in one go. The third would leave a file behind whenever the program is killed: its
 * counters. Older versions let nobody in there, but call all three through exported functions, and
 * a program's definition of the same name comes first. The fourth is its memory. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/wiping.h"
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

void sl_mongo_hook(mongoc_client_t *client)
{
    mongoc_client_set_usleep_impl(client, rest_for, NULL);
}

#else

void _mongoc_usleep(int64_t usec); // NOLINT(bugprone-reserved-identifier,cert-dcl37-c)

void _mongoc_usleep(int64_t usec) // NOLINT(bugprone-reserved-identifier,cert-dcl37-c)
{
    rest(usec);
}

void sl_mongo_hook(mongoc_client_t *client)
{
    (void)client; /* the call makes sure that this file is linked */
}

#endif

/* It keeps the connection string, password included, once for each client, and takes it apart into
 * more copies. */
void sl_mongo_own_memory(void)
{
    static const bson_mem_vtable_t memory = {
        .malloc = malloc,
        .calloc = calloc,
        .realloc = sl_wiping_realloc,
        .free = sl_wiping_free,
        .aligned_alloc = aligned_alloc, /* of a bson_t; without it libbson takes malloc */
    };
    bson_mem_set_vtable(&memory);
}

/* The driver, when it is loaded, makes /dev/shm/mongoc-PID for mongoc-stat. After kill -9 it stays,
 * and the next process of that number prints a warning. Memory without a name does as well. */
int shm_open(const char *name, int flags, mode_t mode)
{
    (void)flags, (void)mode;
    return memfd_create(name, MFD_CLOEXEC);
}

int shm_unlink(const char *name)
{
    (void)name;
    return 0;
}

#if !MONGOC_CHECK_VERSION(1, 28, 0) /* from there on OpenSSL derives the key, six times faster */

typedef void hmac_fn(void *crypto, const void *key, int key_bytes, const unsigned char *data,
                     int data_bytes, unsigned char *hmac_out);

hmac_fn mongoc_crypto_hmac;

/* One round of the derivation. */
void mongoc_crypto_hmac(void *crypto, const void *key, int key_bytes, const unsigned char *data,
                        int data_bytes, unsigned char *hmac_out)
{
    enum { SLICE_ROUNDS = 500 }; /* below a millisecond */
    static hmac_fn *driver_hmac;
    static unsigned rounds;

    if (!driver_hmac) {
        void *symbol = dlsym(RTLD_NEXT, "mongoc_crypto_hmac");
        memcpy(&driver_hmac, &symbol, sizeof driver_hmac);
    }
    driver_hmac(crypto, key, key_bytes, data, data_bytes, hmac_out);
    if (++rounds % SLICE_ROUNDS == 0 && sl_fiber_self() && !sl_mongo_rushing())
        sl_fiber_yield(); /* cancelled: the next wait says so */
}

#endif
