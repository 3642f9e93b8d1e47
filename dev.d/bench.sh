# Measures the release build; what and how is in bench/run.py.
dev setup build test bench
build_preset release sluice sluice-sim bench-programs >&2
export SLUICE_BUILD=$root/build/release PYTHONPATH=$root/tests/integration
exec "$python" bench/run.py "$@"
