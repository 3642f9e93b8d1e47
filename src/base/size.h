/* SL_SIZE: bytes of a buffer or of a bound, and what they are under a fuzzer. There they are small:
 * an input of a few hundred bytes then fills and grows buffers, and many more inputs fit into a
 * minute. */
#ifndef SL_BASE_SIZE_H
#define SL_BASE_SIZE_H

#ifdef SLUICE_FUZZ
#define SL_SIZE(usual, fuzzed) (fuzzed)
#else
#define SL_SIZE(usual, fuzzed) (usual)
#endif

#endif
