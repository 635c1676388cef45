# One image for the controller and the relays. `docker build .` and `buildah bud .` both take it as it is.
ARG BASE_IMAGE=python:3.12.13-slim-bookworm

FROM ${BASE_IMAGE} AS tools
# A pip configuration of one's own (an index, a certificate) is mounted for the build and named here; none is kept.
ARG PIP_CONFIG_FILE
COPY constraints/build.txt /build/
RUN python3 -m venv /tools \
 && /tools/bin/pip install --quiet --no-cache-dir --require-hashes -r /build/build.txt \
 && python3 -m venv --without-pip /opt/outboxrelay

FROM tools AS root
ARG PIP_CONFIG_FILE
COPY constraints/runtime.txt docker/assemble.py /build/
RUN /tools/bin/pip --python /opt/outboxrelay/bin/python3 install --quiet --no-cache-dir --no-compile \
    --only-binary :all: --require-hashes -r /build/runtime.txt \
 && python3 /build/assemble.py /opt/outboxrelay /image \
 && rm -r /opt/outboxrelay

FROM tools AS package
COPY . /build/
RUN /tools/bin/pip wheel --quiet --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /dist /build \
 && /tools/bin/pip --python /opt/outboxrelay/bin/python3 install --quiet --no-cache-dir --no-compile \
    --no-index --no-deps --no-warn-script-location --root /package /dist/*.whl \
 && python3 -m compileall -q --invalidation-mode unchecked-hash -s /package -p / /package

FROM scratch
LABEL org.opencontainers.image.title="outboxrelay" \
      org.opencontainers.image.description="Carries PostgreSQL outbox tables to Kafka: at least once, in order per key." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
ENV PATH=/opt/outboxrelay/bin LANG=C.UTF-8 HOME=/tmp PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
ENTRYPOINT ["outboxrelay"]
COPY --from=root /image/ /
COPY --from=package /package/ /
