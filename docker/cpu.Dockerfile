# The server on CPU. From the repository's root: docker build -f docker/cpu.Dockerfile -t adaptact:cpu .
# An in-house registry's copy of the base: --build-arg PYTHON_IMAGE=registry.example/python:3.12-slim
# With OpenVINO's kernels too, 160 MB: --build-arg ADD=openvino
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
ARG ADD=""
COPY . .
# Optional secrets: `pip.conf` names an in-house index, `ca.pem` holds the authorities to trust. Like the cache they
# are mounted for this command alone, so that no layer holds them.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.pem,target=/run/secrets/ca.pem \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip wheel --no-deps --wheel-dir /wheels . \
    && python3 -m venv --without-pip /opt/adaptact \
    && python3 -m pip --python /opt/adaptact/bin/python install \
        --constraint constraints.txt \
        "$(echo /wheels/adaptact-*.whl)[serve,images,telemetry${ADD:+,$ADD}]" \
    && python3 -m venv --without-pip /opt/bill \
    && python3 -m pip --python /opt/bill/bin/python install --constraint constraints.txt cyclonedx-bom \
    && /opt/bill/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
        --output-file /opt/adaptact/bill-of-materials.cdx.json /opt/adaptact/bin/python \
    && mkdir /opt/cache

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/adaptact /opt/adaptact
COPY --chmod=0644 docker/healthcheck.py /opt/adaptact/healthcheck.py
# The one place to write to, on the disk and not in memory: what the workers share of large models' weights.
COPY --from=build --chown=10001:10001 /opt/cache /var/cache/adaptact
VOLUME /var/cache/adaptact
# Installing compiled the bytecode; at run time the root is read-only. ONNX Runtime reports to its maker unless told
# not to, and only this variable stops all of it (Privacy.md in its wheel). glibc puts
# large blocks into huge pages: freeing 520 MB of weights then takes 3 ms, in which nobody is answered, not 110.
ENV PATH=/opt/adaptact/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    CACHE_DIRECTORY=/var/cache/adaptact \
    ADAPTACT_HOST=0.0.0.0 \
    ADAPTACT_PORT=8000 \
    ADAPTACT_MODELS=/models
EXPOSE ${ADAPTACT_PORT}
# A number, so that an orchestrator can tell that it is not root and a volume can be given to it.
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python3", "/opt/adaptact/healthcheck.py"]
ENTRYPOINT ["adaptact-serve"]
