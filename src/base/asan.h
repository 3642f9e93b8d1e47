/* SL_ASAN: AddressSanitizer watches. gcc and clang say so in different ways. */
#ifndef SL_BASE_ASAN_H
#define SL_BASE_ASAN_H

#if defined(__SANITIZE_ADDRESS__)
#define SL_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SL_ASAN
#endif
#endif

#endif
