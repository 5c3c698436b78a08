# docker build -t featcli . && docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/work" featcli convolve photo.jpg --kernel vertical
# docker run --rm -p 127.0.0.1:8737:8737 featcli serve --host 0.0.0.0
FROM python:3.13-slim AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . /source
# The environment gets no pip, and the tests of NumPy and SciPy, 50 MB, are removed.
# Building stops if the kernel cannot be compiled, or if the installed program does not work.
# hadolint ignore=DL4006
RUN python -m venv --without-pip /opt/featcli \
    && FEATCLI_BUILD=compiled pip --python /opt/featcli/bin/python install --no-cache-dir /source \
    && find /opt/featcli/lib/python3.*/site-packages/numpy /opt/featcli/lib/python3.*/site-packages/scipy \
        -type d -name tests -prune -exec rm -r {} + \
    && /opt/featcli/bin/featcli info --versions | grep 'compiled kernel' \
    && printf 'P2 2 2 255 0 255 255 0' > /tmp/two.pgm \
    && /opt/featcli/bin/featcli run 'resize 64x64 | convolve vertical | relu | pool 2' /tmp/two.pgm \
    && /opt/featcli/bin/featcli classify --no-files /tmp/two.pgm \
    && /opt/featcli/bin/python -c 'import scipy.ndimage, scipy.fft, scipy.sparse.csgraph'

FROM python:3.13-slim
LABEL org.opencontainers.image.title="featcli" \
      org.opencontainers.image.description="Extract features from images, the way a convolutional network does" \
      org.opencontainers.image.licenses="MIT AND Apache-2.0 AND CC-BY-SA-3.0"
COPY --from=build /opt/featcli /opt/featcli
RUN useradd --create-home --uid 1000 featcli
# A number, so that Kubernetes can tell that this user is not root.
USER 1000:1000
WORKDIR /work
ENV PATH=/opt/featcli/bin:$PATH
HEALTHCHECK NONE
ENTRYPOINT ["featcli"]
CMD ["--help"]
