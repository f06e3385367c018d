"""GitHub Models: https://docs.github.com/en/rest/models/inference"""

from __future__ import annotations

from providers._rows import embedding_rows, rows
from providers.base import EmbeddingRoute, ProviderSpec

# Windows and limits: LiteLLM 1.106.2's bundled model_prices_and_context_window_backup.json (November 2026), the vendors' own
# keys; GitHub's tiers may allow less, which the live catalogue then says. GitHub charges by rate limits or multipliers, not by
# these tokens, so there are no prices.
MODELS = """
# id                           alias  window     output   in out cached flags
openai/gpt-4.1                 gpt    1_047_576  32_768   -  -   -      -
openai/gpt-5                   gpt    200_000    100_000  -  -   -      reasoning,nosampling
openai/gpt-4o                  gpt    128_000    16_384   -  -   -      -
openai/gpt-4.1-mini            gpt    1_047_576  32_768   -  -   -      cheap
openai/gpt-4o-mini             gpt    128_000    4_096    -  -   -      -
openai/gpt-5-mini              gpt    200_000    100_000  -  -   -      reasoning,nosampling
openai/o4-mini                 -      200_000    100_000  -  -   -      reasoning,nosampling
openai/o3                      -      200_000    100_000  -  -   -      reasoning,nosampling
deepseek/deepseek-v3-0324      -      128_000    4_096    -  -   -      text
meta/llama-3.3-70b-instruct    -      128_000    4_096    -  -   -      text
"""

# Windows: as above. In one request GitHub's tier for embeddings takes 64,000 tokens:
# https://docs.github.com/en/github-models/use-github-models/prototyping-with-ai-models#rate-limits
EMBEDDINGS = """
openai/text-embedding-3-small  8_191  -
openai/text-embedding-3-large  8_191  -
"""

SPEC = ProviderSpec(
    name="github_models",
    title="GitHub Models",
    port=8092,
    variables=("GITHUB_TOKEN",),
    hint="Set GITHUB_TOKEN to a token with the models:read permission (`gh auth token` prints one that often has it).",
    models=rows("github_models", MODELS),
    openai_reasoning_prefixes=("openai/gpt-5", "openai/o"),
    most_tools={"": 128},  # "Invalid 'tools': array too long. Expected an array with maximum length 128"
    documents=False,
    headers={"accept": "application/vnd.github+json, text/event-stream", "x-github-api-version": "2022-11-28"},
    embeddings=EmbeddingRoute(path="/embeddings", models=embedding_rows("github_models", EMBEDDINGS), most_tokens=60_000),
)
