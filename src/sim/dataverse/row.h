/* A Dataverse row written in three ways: as the Web API answers it, as the truth for tests, and as
 * attributes of an event. Needs no lock. */
#ifndef SIM_DATAVERSE_ROW_H
#define SIM_DATAVERSE_ROW_H

#include "sim/dataverse/value.h"
#include "sim/text.h"

/* What is wrong with a row on purpose. */
enum dv_spoil { DV_WHOLE, DV_WRONG_TYPE, DV_NO_ID, DV_HUGE_TEXT };

struct dv_shape {
    const struct dv_column *columns[DV_COLUMNS_MAX]; /* in the order of the answer */
    unsigned count;
    bool formatted; /* annotations with what a person is shown */
    bool lookups;   /* annotations with the table that a lookup points to */
};

/* Adds {"@odata.etag":"W/\"…\"",…}. huge_bytes is for DV_HUGE_TEXT. */
void dv_row_answer(const struct dv_image *image, const struct dv_shape *shape, enum dv_spoil spoil,
                   uint64_t huge_bytes, struct sim_text *out);

/* Adds the members of "fields" of the truth, typed unmistakably: int64 as {"$numberLong":"…"},
 * decimals as {"$numberDecimal":"…"}, times as {"$date":"…Z"}, doubles as {"$numberDouble":"…"}. */
void dv_row_truth(const struct dv_image *image, const struct dv_shape *shape, struct sim_text *out);

/* Adds the attributes of an event, [{"key":…,"value":…},…] without the brackets: with changed_only
 * those that this revision touched, without nulls when the table is virtual. */
void dv_row_attributes(const struct dv_image *image, bool changed_only, struct sim_text *out);

/* The same for the formatted values. */
void dv_row_labels(const struct dv_image *image, bool changed_only, struct sim_text *out);

/* Adds {"__type":"EntityReference:…","Id":…} of an event; with_type false leaves __type away. */
void dv_row_reference(const char *table, const char *guid, bool with_type, struct sim_text *out);

/* Adds a JSON string in which "/" is escaped, as the DataContract serializer does. */
void dv_text_slashed(struct sim_text *out, const char *text, size_t len);

#endif
