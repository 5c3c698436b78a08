# docker build -t featcli . && docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/work" featcli convolve photo.jpg --kernel vertical
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN python -m venv /opt/featcli && /opt/featcli/bin/pip install --no-cache-dir /source

FROM python:3.13-slim
LABEL org.opencontainers.image.title="featcli" \
      org.opencontainers.image.description="Extract features from images, the way a convolutional network does" \
      org.opencontainers.image.licenses="MIT AND Apache-2.0 AND CC-BY-SA-3.0"
COPY --from=build /opt/featcli /opt/featcli
RUN useradd --create-home --uid 1000 featcli
USER featcli
WORKDIR /work
ENV PATH=/opt/featcli/bin:$PATH
HEALTHCHECK NONE
ENTRYPOINT ["featcli"]
CMD ["--help"]
