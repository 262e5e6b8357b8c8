# docker build -f docs/docker/cuda.Dockerfile -t lrladder-cuda .
# The image has nvcc, because `make megablocks` compiles. It does so in a container with a GPU: README.md here.
FROM nvidia/cuda:13.0.0-devel-ubuntu24.04

RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git make python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /lrladder
COPY . .
# An empty index means PyPI's torch, which is the CUDA build.
RUN make venv TORCH_CPU_INDEX=

ENV PATH=/lrladder/.venv/bin:$PATH
ENTRYPOINT ["lrladder"]
CMD ["--help"]
