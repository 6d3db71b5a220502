# The server on an NVIDIA GPU. From the repository's root: docker build -f docker/cuda.Dockerfile -t adaptact:cuda .
# CUDA and cuDNN come as wheels, so that the base is the CPU image's; the host gives the driver and nothing else.
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
ARG ADD=""
COPY . .
# Secrets and cache as in cpu.Dockerfile; the second constraints file says which CUDA.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.pem,target=/run/secrets/ca.pem \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip wheel --no-deps --wheel-dir /wheels . \
    && python3 -m venv --without-pip /opt/adaptact \
    && python3 -m pip --python /opt/adaptact/bin/python install \
        --constraint constraints.txt \
        --constraint docker/cuda-constraints.txt \
        "$(echo /wheels/adaptact-*.whl)[serve-cuda,images,telemetry${ADD:+,$ADD}]" \
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
# NVIDIA_DRIVER_CAPABILITIES tells the container toolkit which of the host's driver libraries to mount.
ENV PATH=/opt/adaptact/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ORT_DISABLE_TELEMETRY=1 \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    CACHE_DIRECTORY=/var/cache/adaptact \
    ADAPTACT_HOST=0.0.0.0 \
    ADAPTACT_PORT=8000 \
    ADAPTACT_MODELS=/models \
    ADAPTACT_PROVIDER=cuda
EXPOSE ${ADAPTACT_PORT}
# A number, so that an orchestrator can tell that it is not root and a volume can be given to it.
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python3", "/opt/adaptact/healthcheck.py"]
ENTRYPOINT ["adaptact-serve"]
