/* Numbers that look random and are the same for the same seed. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define SIM_GOLDEN 0x9e3779b97f4a7c15u

/* Spreads every bit of x over the whole result (the finalizer of splitmix64). */
static inline uint64_t sim_mix(uint64_t x)
{
    x += SIM_GOLDEN;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* FNV-1a, 64 bits; start with SIM_FNV_START. */
#define SIM_FNV_START 0xcbf29ce484222325u

static inline uint64_t sim_fnv(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/* The next number of a stream whose state the caller keeps. */
static inline uint64_t sim_random(uint64_t *state)
{
    *state += SIM_GOLDEN;
    return sim_mix(*state);
}

#endif
