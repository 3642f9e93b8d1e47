/* The entities that the simulator knows: labels, columns and what stands in them. */
#ifndef SIM_ENTITY_H
#define SIM_ENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_cell {
    CELL_COMPANY,  /* dataAreaId, in lower case */
    CELL_KEY,      /* the record's own key */
    CELL_REVISION, /* how often it was written, from 1 */
    CELL_WORD,     /* one of the column's words */
    CELL_BUSINESS, /* a company's or product's name */
    CELL_STREET,   /* an address, often on two lines */
    CELL_EMAIL,
    CELL_PHONE,
    CELL_GUID,
    CELL_NOTE,     /* free text of about `size` bytes, with everything that hurts a parser */
    CELL_AMOUNT,   /* a decimal with `size` digits behind the point */
    CELL_INT,      /* an integer of at most `size` digits */
    CELL_DOUBLE,   /* a number that a double holds exactly */
    CELL_BOOL,     /* Yes or No */
    CELL_DATE,     /* 2026-03-14 */
    CELL_DATETIME, /* 2026-03-14 09:26:53 */
};

struct sim_column {
    const char *name;
    enum sim_cell cell;
    uint8_t empty_percent;
    bool fixed; /* the same in every revision of a record */
    uint16_t size;
    const char *const *words; /* of CELL_WORD: ends with NULL */
};

struct sim_entity {
    const char *label;  /* Vendors V3 */
    const char *target; /* the entity's internal name, for the manifest */
    const char *key_prefix;
    const struct sim_column *columns;
    unsigned column_count;
};

#define SIM_COLUMNS_MAX 32

/* The entities, count of them. */
extern const struct sim_entity sim_entities[];
extern const size_t sim_entity_count;

/* Finds an entity by its label without regard to case; NULL when there is none. */
const struct sim_entity *sim_entity_find(const char *label);

/* True when a cell of this kind is not just any text, so that a wrong one cannot be typed. */
bool sim_cell_is_typed(enum sim_cell cell);

#endif
