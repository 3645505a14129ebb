# The gateway in production. Every step also runs in a bare Debian tree: scripts/dockerfile_in_chroot.py.

FROM debian:bookworm-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.txt ./
RUN python3 -m venv /opt/gateway \
    && /opt/gateway/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md ./
COPY contracts contracts
COPY storage storage
COPY token_vault token_vault
COPY connectors connectors
COPY workers workers
COPY gateway gateway
COPY sandbox sandbox
RUN /opt/gateway/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/gateway/bin/python -m pip uninstall --yes pip setuptools


FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 gateway \
    && useradd --system --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent gateway \
    && install --directory --owner=gateway --group=gateway --mode=0700 /var/lib/cleverbox-gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    GATEWAY_DATA_DIR=/var/lib/cleverbox-gateway \
    GATEWAY_LOG_FORMAT=json
WORKDIR /var/lib/cleverbox-gateway
VOLUME /var/lib/cleverbox-gateway
USER gateway
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["gateway"]
CMD ["serve", "--host", "0.0.0.0"]
