"""OpenRouter: https://openrouter.ai/docs/api-reference/overview"""

from __future__ import annotations

from providers._rows import embedding_rows, rows
from providers.base import EmbeddingRoute, ProviderSpec

# Source: the vendors' own keys in LiteLLM 1.106.2's bundled model_prices_and_context_window_backup.json (November 2026);
# OpenRouter passes their prices on and reports what each call cost. The live list adds the several hundred others.
MODELS = """
# id                                 alias   window     output   in    out   cached flags
anthropic/claude-sonnet-4.6          sonnet  1_000_000  64_000   3     15    0.3    reasoning
openai/gpt-4o                        gpt     128_000    16_384   2.5   10    1.25   -
google/gemini-3.1-pro-preview        gemini  1_048_576  65_536   2     12    0.2    reasoning
anthropic/claude-sonnet-4.5          sonnet  200_000    64_000   3     15    0.3    reasoning
google/gemini-2.5-pro                gemini  1_048_576  65_536   1.25  10    0.125  reasoning
anthropic/claude-opus-4.5            opus    200_000    64_000   5     25    0.5    reasoning
anthropic/claude-haiku-4.5           haiku   200_000    64_000   1     5     0.1    reasoning
openai/gpt-5                         gpt     272_000    128_000  1.25  10    0.125  reasoning,nosampling
openai/gpt-4.1                       gpt     1_047_576  32_768   2     8     0.5    -
google/gemini-2.5-flash              gemini  1_048_576  65_536   0.3   2.5   0.03   reasoning
openai/gpt-4o-mini                   gpt     128_000    16_384   0.15  0.6   0.075  cheap
deepseek/deepseek-chat               -       131_072    8_192    0.28  0.42  0.028  text
meta-llama/llama-3.3-70b-instruct    -       128_000    4_096    -     -     -      text
"""

# Those of Anthropic's own API that change no more than the answer; OpenRouter passes them on to whoever serves the model.
BETAS = frozenset(
    {
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "effort-2025-11-24",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
    }
)

# What OpenAI and Google ask; OpenRouter reports what each call cost. Source: as above.
EMBEDDINGS = """
openai/text-embedding-3-small  8_191  0.02
openai/text-embedding-3-large  8_191  0.13
openai/text-embedding-ada-002  8_191  0.1
google/gemini-embedding-001    2_048  0.15
"""

SPEC = ProviderSpec(
    name="openrouter",
    title="OpenRouter",
    port=8093,
    variables=("OPENROUTER_API_KEY",),
    hint="Set OPENROUTER_API_KEY to a key from https://openrouter.ai/settings/keys.",
    models=rows("openrouter", MODELS),
    openai_reasoning_prefixes=("openai/gpt-5", "openai/o"),
    most_tools={"openai/": 128},
    cache_control_prefixes=("anthropic/",),
    headers={"x-title": "Parley"},
    messages_path="/messages",
    messages_prefixes=("anthropic/",),
    betas=BETAS,
    embeddings=EmbeddingRoute(path="/embeddings", models=embedding_rows("openrouter", EMBEDDINGS)),
)
