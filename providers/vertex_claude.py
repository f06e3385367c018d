"""Claude on Google Cloud's Vertex AI: https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude"""

from __future__ import annotations

from providers._rows import rows
from providers.base import ProviderSpec

# Source: LiteLLM 1.106.2's bundled model_prices_and_context_window_backup.json (November 2026), keys vertex_ai/*.
# Prices hold up to 200,000 tokens of input. First in each family is one whose retirement the map does not date before 2027, if
# there is one.
MODELS = """
# id                alias   window     output   in    out   cached flags
claude-sonnet-4-6   sonnet  1_000_000  64_000   3     15    0.3    reasoning
claude-opus-4-8     opus    1_000_000  128_000  5     25    0.5    reasoning,nosampling
claude-haiku-4-5    haiku   200_000    64_000   1     5     0.1    reasoning,cheap
claude-sonnet-5     sonnet  1_000_000  128_000  2     10    0.2    reasoning,nosampling
claude-opus-4-5     opus    200_000    64_000   5     25    0.5    reasoning
claude-sonnet-5-5   sonnet  1_000_000  128_000  2     10    0.1    reasoning,nosampling
claude-opus-5-5     opus    1_000_000  128_000  4     20    0.2    reasoning,nosampling
claude-haiku-5-5    haiku   1_000_000  128_000  0.1   0.5   0.01   reasoning,nosampling
claude-opus-5       opus    1_000_000  128_000  5     25    0.5    reasoning,nosampling
claude-sonnet-4-5   sonnet  200_000    64_000   3     15    0.3    reasoning
claude-opus-4-7     opus    1_000_000  128_000  5     25    0.5    reasoning,nosampling
claude-opus-4-6     opus    1_000_000  128_000  5     25    0.5    reasoning
"""

# Source: vertex_ai in LiteLLM 1.106.2's anthropic_beta_headers_config.json (November 2026).
BETAS = frozenset(
    {
        "compact-2026-01-12",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "interleaved-thinking-2025-05-14",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "tool-search-tool-2025-10-19",
        "web-search-2025-03-05",
    }
)

SPEC = ProviderSpec(
    name="vertex_claude",
    title="Claude on Vertex AI",
    port=8090,
    variables=("GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS"),
    hint=(
        "Set GOOGLE_CLOUD_PROJECT, and GOOGLE_APPLICATION_CREDENTIALS to a service-account file"
        " (or run `gcloud auth application-default login`). VERTEX_AI_LOCATION is the region (us-east5)."
    ),
    models=rows("vertex_claude", MODELS),
    wire="anthropic",
    path="/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:streamRawPredict?alt=sse",
    messages_path="/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:streamRawPredict?alt=sse",
    count_path="/v1/projects/{project}/locations/{location}/publishers/anthropic/models/count-tokens:rawPredict",
    betas=BETAS,
    auth="google",
)
