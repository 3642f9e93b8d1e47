# Everything that can be said about the code without running it. Runs all checks, then counts.
preset=debug-asan
dev setup build test check
failed=()

check() {
    local name=$1
    shift
    say "$name"
    "$@" || failed+=("$name")
}

check_format() { c_files | xargs -r clang-format --dry-run -Werror; }

# A path of somebody's machine in a file breaks it for everybody else.
check_paths() {
    ! git ls-files -z --cached --others --exclude-standard | xargs -0 grep -nIE \
        "(^|[^A-Za-z0-9_./-])(/(home|root|work|workspace|Users)/|$root(/|\$|[^A-Za-z0-9_/.-]))"
}

check_tidy() {
    c_files | grep '\.c$' | grep -E '^(src|tests|bench)/' | sed "s|^|^$root/|; s|\$|\$|" |
        xargs run-clang-tidy -p build/$preset -j "$jobs" -quiet >build/clang-tidy.log 2>&1 && return
    grep -E '(warning|error):' build/clang-tidy.log | sort -u
    say "the whole report is in build/clang-tidy.log"
    return 1
}

check_cppcheck() {
    mkdir -p build/cppcheck
    cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability \
        --inline-suppr --suppress=missingIncludeSystem --error-exitcode=1 -j "$jobs" \
        --cppcheck-build-dir=build/cppcheck -D__linux__ -I src src bench
}

# As users compile it, but that a compiler or library newer than ours must not break their build.
check_warnings() {
    cmake --preset release -B build/strict -DSLUICE_WERROR=ON -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF >/dev/null &&
        cmake --build build/strict --parallel "$jobs" --target sluice sluice-sim
}

cmake --preset $preset >/dev/null # clang-tidy reads how each file is compiled
check "format" check_format
check "layers" dev arrows
check "paths" check_paths
check "warnings" check_warnings
check "clang-tidy" check_tidy
check "cppcheck" check_cppcheck
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]}"
say "every check passed"
