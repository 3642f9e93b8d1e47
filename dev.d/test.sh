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

run_pytest() {
    "$python" -m pytest -c tests/pytest.ini --rootdir "$root" --durations 15 "$@"
}

# All of them: in parts side by side, two a processor since tests mostly wait, each with servers of its
# own. A file stays together.
run_integration() {
    say "integration tests"
    if [ $# -gt 0 ]; then
        run_pytest "$@"
    else
        local parts=$(($(nproc) < 4 ? 2 * $(nproc) : 7)) # one more has the torture: see tests/integration/process.py
        run_pytest --numprocesses $parts --dist loadfile --deselect "$kill_points"
    fi
}

# What takes long and mostly waits, too: beside the integration tests, one after the other.
kill_points=tests/integration/test_kill_points.py
run_torture() {
    export SLUICE_PORT_SHARE=7 # the workers have the first ones
    dev torture --seed 1 --minutes 3 --kills 45 --faults 35 && run_pytest "$kill_points"
}

groups=(build test)
[ $which != all ] || groups+=(torture)
dev setup "${groups[@]}"
build_preset $preset
export SLUICE_BUILD=$root/build/$preset
failed=()
[ $which = integration ] || run_unit "$@" || failed+=(unit)
if [ $which = all ]; then
    say "torture and kill points, in build/torture.log, and meanwhile:"
    run_torture >build/torture.log 2>&1 &
    torture=$!
    trap 'pkill -P $torture; kill $torture' EXIT
fi
[ $which = unit ] || run_integration "$@" || failed+=(integration)
if [ $which = all ]; then
    wait $torture || { tail -n 60 build/torture.log && failed+=(torture); }
    trap - EXIT
    grep '^torture: faults=' build/torture.log || true
fi
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]} tests"
say "every test passed"
