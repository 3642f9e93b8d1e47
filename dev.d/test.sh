# Builds with sanitizers and runs the tests. Every test is run even when an earlier one fails.
preset=debug-asan
which=all
case ${1:-} in
unit | integration)
    which=$1
    shift
    ;;
?*) which=integration ;;
esac

run_unit() {
    say "unit tests"
    "$python" dev.d/with_mongo.py ctest --test-dir build/$preset --output-on-failure --no-tests=error --parallel "$jobs" "$@"
}

# All of them: in two halves side by side, each with servers of its own, since tests mostly wait. A
# file stays together.
run_integration() {
    say "integration tests"
    [ $# -gt 0 ] || set -- --numprocesses 2 --dist loadfile
    SLUICE_BUILD=$root/build/$preset "$python" -m pytest -c tests/pytest.ini --rootdir "$root" \
        --durations 15 "$@"
}

dev setup
build_preset $preset
failed=()
[ $which = integration ] || run_unit "$@" || failed+=(unit)
[ $which = unit ] || run_integration "$@" || failed+=(integration)
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]} tests"
say "every test passed"
