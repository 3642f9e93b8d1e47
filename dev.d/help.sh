cat <<'END'
usage: ./dev COMMAND [ARGUMENTS]

  demo [--once]        watch an export travel from a simulated D365 through RabbitMQ to MongoDB
  test                 build with sanitizers, run the unit and the integration tests
  test unit [ARGS]     the unit tests alone; ARGS go to ctest (-R csv)
  test integration [ARGS]
  test ARGS            the integration tests alone; ARGS go to pytest (-k restart)
  fuzz [--seconds N] [TARGET]  invented input for every reader of foreign bytes; --coverage
  torture [--seed N] [--minutes M] [--kills K] [--faults F]
                       everything breaks at random, again and again; nothing may be missing
  endure [--minutes N] each peer away for an hour (or N minutes) in mid run
  bench [ARGS]         measure beside Bento, a hand-made pipeline and the limit; --quick: 5 minutes
  bench csv | growth | idle | memory | floor | plots
                       the CSV parser against others; how cost grows; at rest; peak memory; the
                       least that a change takes; the plots anew
  bench latency [--quick]  how soon a change can be read in MongoDB
  package              a Debian package of the release build, into build/package
  build [PRESET]       release (default) or debug-asan, into build/PRESET
  check                format, layers, clang-tidy, cppcheck
  format               rewrite every C file as .clang-format says
  arrows               print who includes whom in src/; fail on an upward arrow or a cycle
  setup [GROUP ...]    install what the others need; they call it themselves

build/ holds everything made here. A mongod that had to be fetched is kept in
${XDG_CACHE_HOME:-~/.cache}/sluice for the next clone.
END
