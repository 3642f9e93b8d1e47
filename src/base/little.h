/* Numbers of little-endian formats (zip, MongoDB's protocol), at any address. */
#ifndef SL_BASE_LITTLE_H
#define SL_BASE_LITTLE_H

#include <stdint.h>

static inline uint16_t sl_le16(const void *at)
{
    const uint8_t *bytes = at;
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t sl_le32(const void *at)
{
    return sl_le16(at) | (uint32_t)sl_le16((const uint8_t *)at + 2) << 16;
}

static inline uint64_t sl_le64(const void *at)
{
    return sl_le32(at) | (uint64_t)sl_le32((const uint8_t *)at + 4) << 32;
}

#endif
