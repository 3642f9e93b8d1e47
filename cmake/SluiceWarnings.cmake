# Every target of this project links sluice_options: warnings, sanitizers, kill points, core dumps, feature macros.
add_library(sluice_options INTERFACE)
target_compile_definitions(sluice_options INTERFACE _GNU_SOURCE)
target_compile_options(
  sluice_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                           -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
                           -Wformat=2 -Wno-format-truncation -Wno-format-zero-length -Wvla -fno-omit-frame-pointer)
# A waiter lives on its fiber's stack and is unlinked before the function returns; GCC cannot see that.
include(CheckCCompilerFlag)
check_c_compiler_flag(-Wdangling-pointer SLUICE_HAS_DANGLING_POINTER)
if(SLUICE_HAS_DANGLING_POINTER)
  target_compile_options(sluice_options INTERFACE -Wno-dangling-pointer)
endif()
if(SLUICE_WERROR)
  # What a newer library calls deprecated is told, no more: the oldest that we support may have nothing else.
  target_compile_options(sluice_options INTERFACE -Werror -Wno-error=deprecated-declarations)
endif()
if(SLUICE_SANITIZE)
  target_compile_options(sluice_options INTERFACE -fsanitize=address,undefined
                                                  -fno-sanitize-recover=undefined)
  target_link_options(sluice_options INTERFACE -fsanitize=address,undefined)
endif()
if(SLUICE_FUZZ)
  target_compile_definitions(sluice_options INTERFACE SLUICE_FUZZ) # buffers are small: base/size.h
  # Instrumented for libFuzzer; coverage is for ./dev fuzz --coverage.
  target_compile_options(sluice_options INTERFACE -fsanitize=fuzzer-no-link -fprofile-instr-generate
                                                  -fcoverage-mapping)
  target_link_options(sluice_options INTERFACE -fprofile-instr-generate)
endif()
if(SLUICE_KILL_POINTS)
  target_compile_definitions(sluice_options INTERFACE SLUICE_KILL_POINTS)
endif()
if(SLUICE_DUMPABLE)
  target_compile_definitions(sluice_options INTERFACE SLUICE_DUMPABLE)
endif()
