# An image of sluice: its Debian package, and the libraries that this one needs. docs/OPERATIONS.md, share/kubernetes.yaml.
#
#   docker build -t registry.example.com/sluice:0.1.0 .
FROM docker.io/library/debian:12 AS build
WORKDIR /src

# What it is built with stands in third_party/debian-packages.txt, and nowhere else.
COPY dev ./
COPY dev.d dev.d/
COPY third_party third_party/
RUN ./dev setup build

COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake/
COPY share share/
COPY src src/
RUN cmake --preset release -DSLUICE_TESTS=OFF -DSLUICE_BENCH=OFF && cmake --build build/release && \
    cpack --config build/release/CPackConfig.cmake -B build/package

# The package knows by dpkg-shlibdeps which libraries it needs.
FROM docker.io/library/debian:12-slim
COPY --from=build /src/build/package/*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/*.deb && \
    rm -rf /tmp/*.deb /var/lib/apt/lists/*

# A number, since Kubernetes cannot tell of a name that it is not root's. It owns nothing.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sluice"]
CMD ["run", "-c", "/etc/sluice/sluice.jsonc"]
