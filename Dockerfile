# One image for the recorder, the page and the set-up: Python, arecord and what they need. Works for amd64 and arm64.

FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/isr \
    && pip --python /opt/isr install --no-cache-dir --no-compile --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY agent agent
COPY archive_api archive_api
RUN pip --python /opt/isr install --no-cache-dir --no-compile --no-deps . \
    && python -m compileall -q -j 0 /opt/isr

FROM python:3.13-slim
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="isr-edge" \
    org.opencontainers.image.description="Records sound cards and Icecast streams at the wall clock, and accounts for every second." \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="$VERSION"
RUN apt-get update \
    && apt-get install -y --no-install-recommends alsa-utils util-linux \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall -y --root-user-action=ignore pip
COPY --from=build /opt/isr /opt/isr
ENV PATH=/opt/isr/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ISR_CONFIG=/data/config.yaml
WORKDIR /data
# Whoever runs the image without saying as whom is not root either.
USER 1000:1000
CMD ["isr-agent", "run"]
