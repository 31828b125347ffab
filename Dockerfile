# edm2 in a container: docker build -t edm2 . && docker run --rm -v "$PWD:/work" edm2 generate --preset=demo --outdir=out
FROM debian:12-slim AS build
WORKDIR /src
COPY . .
RUN ./edm2 --version && cmake --install build/release --prefix /usr/local --strip

FROM debian:12-slim
# What the program links; libtorch comes from the first stage.
RUN apt-get update && apt-get install --yes --no-install-recommends \
      libpng16-16 libjpeg62-turbo libgif7 libtiff6 libwebp7 libwebpmux3 libwebpdemux2 libavif15 libopenjp2-7 libzip4 libutf8proc2 libcairo2 libcurl4 \
      libssl3 fonts-dejavu-core ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local /usr/local
COPY --from=build /src/.venv /src/.venv
WORKDIR /work
ENTRYPOINT ["edm2"]
