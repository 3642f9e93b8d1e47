# The long way: each peer away for an hour in mid run, and what else takes minutes (tests/README.md).
# Every scene has servers and a pytest of its own, and all go at once. SLUICE_BUILD names another build folder than that of the release.
minutes=60
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=${2:?"--minutes needs a number"} && shift 2 ;;
    *) die "endure: there is no '$1'; the usage is ./dev endure [--minutes N]" ;;
    esac
done
[[ $minutes =~ ^[0-9]+$ && $minutes -gt 0 ]] || die "endure: '$minutes' is not a number of minutes"

dev setup
if [ -z "${SLUICE_BUILD:-}" ]; then
    build_preset release sluice sluice-sim >&2
    export SLUICE_BUILD=$root/build/release
fi
export SLUICE_ENDURE_MINUTES=$minutes PYTHONPATH=$root/tests/integration:$root/tests/endurance
tests=(
    test_away.py::test_mongodb_away
    test_away.py::test_rabbitmq_away
    test_away.py::test_dynamics_away
    test_silent_queue.py
    test_schedule.py
)
logs=$root/build/endure
mkdir -p "$logs"

# The fixtures are those of the integration tests: -p conftest.
endure_one() {
    exec "$python" -m pytest -c tests/pytest.ini --rootdir "$root" -p conftest -p no:cacheprovider -s \
        "tests/endurance/$1" >"$2" 2>&1
}

pids=()
trap 'kill "${pids[@]}" 2>/dev/null; exit 130' INT TERM
for i in "${!tests[@]}"; do
    endure_one "${tests[i]}" "$logs/${tests[i]##*:}.log" &
    pids+=($!)
done
say "each peer is away for $minutes min; the logs are in build/endure"

failed=()
for i in "${!tests[@]}"; do
    if wait "${pids[i]}"; then
        grep '^endure:' "$logs/${tests[i]##*:}.log"
    else
        failed+=("${tests[i]##*:}")
    fi
done
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]}; see build/endure"
say "every peer was away for $minutes min, and nothing was lost"
