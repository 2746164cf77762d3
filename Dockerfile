# ernie-vl on a CPU, for linux/amd64 and linux/arm64:  docker build -t ernie-vl .   docs/operations.md says how to run it.
# For a GPU: Dockerfile.gpu. `npm run docker:rehearse -- --file Dockerfile` carries out the steps below in a folder, without Docker.
ARG NODE_VERSION=24.21.0

FROM node:${NODE_VERSION}-bookworm AS build
WORKDIR /opt/ernie-vl
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY scripts/kernels scripts/kernels
COPY kernels kernels
RUN node scripts/kernels/build.mjs --cpu
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY scripts/build-web.mjs scripts/
COPY web web
# What stays is the production dependencies, without ONNX Runtime for other systems.
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund && \
    cd node_modules/onnxruntime-node/bin/napi-v6 && rm -r darwin win32 && \
    find linux -mindepth 1 -maxdepth 1 ! -name "$(node -p process.arch)" -exec rm -r {} +

FROM node:${NODE_VERSION}-bookworm-slim AS runtime
LABEL org.opencontainers.image.title="ernie-vl" \
      org.opencontainers.image.description="Serves ERNIE-4.5-VL with an OpenAI-compatible API on a CPU" \
      org.opencontainers.image.licenses="Apache-2.0"
# For videos, and for PDFs that do not hold their Chinese, Japanese or Korean fonts.
RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg fonts-wqy-microhei && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home ernie && install -d -o ernie -g ernie /models /cache
WORKDIR /opt/ernie-vl
COPY package.json LICENSE ./
COPY models/ernie-vl-nano models/ernie-vl-nano
COPY --from=build /opt/ernie-vl/node_modules node_modules
COPY --from=build /opt/ernie-vl/kernels/build/libernie_kernels.so kernels/build/
COPY --from=build /opt/ernie-vl/dist dist
ENV NODE_ENV=production ERNIE_VL_CACHE=/cache
# By number: Kubernetes cannot tell whether a name is root (runAsNonRoot).
USER 10001
# Checkpoints (may be read-only) and what is converted from them (17 GiB for the 28B in int4).
VOLUME ["/models", "/cache"]
EXPOSE 8000
# Loading takes seconds, the first conversion of a large checkpoint minutes.
HEALTHCHECK --start-period=30m --interval=15s --timeout=5s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Listens for other machines, so it starts only with a key (ERNIE_VL_API_KEY) or with --insecure-no-auth.
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve", "--host", "0.0.0.0"]
