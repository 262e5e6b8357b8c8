# docker build -f docs/docker/cpu.Dockerfile -t lrladder .
FROM python:3.13-slim

# g++ is for torch.compile, and Chromium for `report --pdf`
RUN apt-get update \
    && apt-get install -y --no-install-recommends chromium g++ make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /lrladder
COPY . .
RUN make venv

ENV PATH=/lrladder/.venv/bin:$PATH
ENTRYPOINT ["lrladder"]
CMD ["--help"]
