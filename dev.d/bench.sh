# Measures the release build; what and how is in bench/run.py.
dev setup
build_preset release >&2
export SLUICE_BUILD=$root/build/release PYTHONPATH=$root/tests/integration
exec "$python" bench/run.py "$@"
