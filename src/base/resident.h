/* Memory that a process holds of files: its program and the libraries. */
#ifndef SL_BASE_RESIDENT_H
#define SL_BASE_RESIDENT_H

/* Lets go of the libraries' pages that were touched so far: most of them by their own beginnings,
 * and never again. The kernel keeps them in its cache, and what is used once more is mapped anew.
 * To be called when the start is over. */
void sl_resident_release(void);

#endif
