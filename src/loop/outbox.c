#include "loop/outbox.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    BLOCK_BYTES = 16 * 1024,
    GAP_BYTES = 256, /* between two references there are only frame heads and ends */
};

struct sl_outbox_piece {
    struct sl_outbox_piece *next;
    const uint8_t *at; /* the first byte that still waits */
    size_t size;
    size_t room;    /* behind the last byte, inside own; 0 for a reference */
    bool reference; /* at points to somebody else's memory */
    uint8_t own[];
};

static struct sl_outbox_piece *append(struct sl_outbox *box, size_t own_bytes)
{
    struct sl_outbox_piece *piece = sl_alloc(sizeof *piece + own_bytes);
    *piece = (struct sl_outbox_piece){.at = piece->own, .room = own_bytes};
    if (box->last)
        box->last->next = piece;
    else
        box->first = piece;
    box->last = piece;
    return piece;
}

/* Some of what goes through here is a login. */
static void free_piece(struct sl_outbox_piece *piece)
{
    if (!piece->reference)
        sl_wipe(piece->own, (size_t)(piece->at + piece->size - piece->own));
    free(piece);
}

void sl_outbox_done(struct sl_outbox *box)
{
    while (box->first) {
        struct sl_outbox_piece *piece = box->first;
        box->first = piece->next;
        free_piece(piece);
    }
    *box = (struct sl_outbox){0};
}

void sl_outbox_add(struct sl_outbox *box, const void *bytes, size_t size)
{
    if (!size)
        return;
    struct sl_outbox_piece *piece = box->last;
    if (!piece || piece->room < size) {
        size_t usual = piece && piece->reference ? GAP_BYTES : BLOCK_BYTES;
        piece = append(box, size > usual ? size : usual);
    }
    memcpy((uint8_t *)piece->at + piece->size, bytes, size);
    piece->size += size;
    piece->room -= size;
    box->size_bytes += size;
}

void sl_outbox_add_ref(struct sl_outbox *box, const void *bytes, size_t size)
{
    if (!size)
        return;
    struct sl_outbox_piece *piece = append(box, 0);
    piece->at = bytes;
    piece->size = size;
    piece->reference = true;
    box->size_bytes += size;
}

unsigned sl_outbox_gather(const struct sl_outbox *box, uv_buf_t *ret, unsigned max)
{
    unsigned count = 0;
    for (const struct sl_outbox_piece *at = box->first; at && count < max; at = at->next)
        if (at->size)
            ret[count++] = uv_buf_init((char *)at->at, (unsigned)at->size);
    return count;
}

size_t sl_outbox_peek(const struct sl_outbox *box, void *out, size_t size)
{
    size_t copied = 0;
    for (const struct sl_outbox_piece *at = box->first; at && copied < size; at = at->next) {
        size_t part = at->size < size - copied ? at->size : size - copied;
        memcpy((uint8_t *)out + copied, at->at, part);
        copied += part;
    }
    return copied;
}

void sl_outbox_drop(struct sl_outbox *box, size_t size)
{
    box->size_bytes -= size;
    while (box->first && size >= box->first->size) {
        struct sl_outbox_piece *piece = box->first;
        size -= piece->size;
        box->first = piece->next;
        if (!box->first)
            box->last = NULL;
        free_piece(piece);
    }
    if (box->first) {
        box->first->at += size;
        box->first->size -= size;
    }
}

/* A copy of a reference, in its place in the list. */
static struct sl_outbox_piece *copy_of(const struct sl_outbox_piece *piece)
{
    struct sl_outbox_piece *copy = sl_alloc(sizeof *copy + piece->size);
    *copy = (struct sl_outbox_piece){.next = piece->next, .at = copy->own, .size = piece->size};
    memcpy(copy->own, piece->at, piece->size);
    return copy;
}

void sl_outbox_disown(struct sl_outbox *box, const void *bytes, size_t size)
{
    uintptr_t low = (uintptr_t)bytes;
    struct sl_outbox_piece *previous = NULL;

    for (struct sl_outbox_piece *at = box->first; at; previous = at, at = at->next) {
        if (!at->reference || (uintptr_t)at->at < low || (uintptr_t)at->at >= low + size)
            continue;
        struct sl_outbox_piece *copy = copy_of(at);
        if (previous)
            previous->next = copy;
        else
            box->first = copy;
        if (box->last == at)
            box->last = copy;
        free(at);
        at = copy;
    }
}
