/* Forms, as they are posted: name=value&name=value. */
#ifndef SIM_FORM_H
#define SIM_FORM_H

#include <stddef.h>

/* The value of a hexadecimal digit, or -1. */
int sim_hex_value(char c);

/* Writes the decoded value of a field to out, which has room for size bytes, cut where it does not
 * fit; "" when there is no such field. */
void sim_form_value(const char *form, size_t form_len, const char *name, char *out, size_t size);

#endif
