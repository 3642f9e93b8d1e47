/* For the checks of the types of sources (config/shape.h): where things stand in the file. Of use
 * while a check runs; afterwards the file's text is gone. */
#ifndef SL_CONFIG_CHECK_H
#define SL_CONFIG_CHECK_H

#include "config/config.h"

/* The value that path ("tls.key") names in the object of a source or feed. NULL: it is not said. */
const struct sl_json *sl_config_said(const struct sl_json *object, const char *path);

/* Where that value stands; of a list, where its item does (from 0). What is not said stands where
 * the object does. */
struct sl_json_place sl_config_place(const struct sl_json *object, const char *path, size_t item);

#endif
