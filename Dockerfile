# One image for the agent, the controller and the command. What goes in is built outside (npm run build), so that the
# same files are tested, bundled and shipped. The base needs Node 20.19 or later as `node`, glibc and libstdc++.
ARG BASE=node:24-bookworm-slim
FROM ${BASE}

ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="scope" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY dist/agent.cjs dist/controller.cjs dist/cli.cjs /opt/scope/dist/
COPY dist/native/ /opt/scope/dist/native/
COPY bin/ /opt/scope/bin/
COPY LICENSE /opt/scope/LICENSE

ENV NODE_ENV=production PATH=/opt/scope/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /
# The chart says which user each of the programs runs as; by itself it can do nothing.
USER 65532:65532
ENTRYPOINT ["node"]
