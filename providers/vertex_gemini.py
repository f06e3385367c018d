"""Gemini on Google Cloud's Vertex AI: https://cloud.google.com/vertex-ai/generative-ai/docs/models"""

from __future__ import annotations

from providers._rows import embedding_rows, rows
from providers.base import EmbeddingRoute, ProviderSpec

# Source: LiteLLM 1.106.2's bundled model_prices_and_context_window_backup.json (November 2026), vertex_ai-language-models.
# Prices hold up to 200,000 tokens of input. Gemini 3 is served at the global location only:
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/learn/locations. The map dates the retirement of 2.5 at 2026-10-20.
MODELS = """
# id                    alias   window     output  in    out   cached flags
gemini-3.1-pro-preview  gemini  1_048_576  65_536  2     12    0.2    reasoning,global
gemini-3.5-flash        gemini  1_048_576  65_535  1.5   9     0.15   reasoning,global
gemini-3.8-flash        gemini  1_048_576  65_536  0.75  3.75  0.075  reasoning,nosampling,global
gemini-2.5-pro          gemini  1_048_576  65_535  1.25  10    0.125  reasoning
gemini-2.5-flash        gemini  1_048_576  65_535  0.3   2.5   0.03   reasoning
gemini-3-pro-preview    gemini  1_048_576  65_535  2     12    0.2    reasoning,global
gemini-3-flash-preview  gemini  1_048_576  65_535  0.5   3     0.05   reasoning,global
gemini-3.1-flash-lite   gemini  1_048_576  65_536  0.25  1.5   0.025  reasoning,global,cheap
gemini-2.5-flash-lite   gemini  1_048_576  65_535  0.1   0.4   0.01   reasoning
"""

# Windows and prices: as above. 20,000 tokens a request, and one text for gemini-embedding-001:
# https://cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings#limits
EMBEDDINGS = """
text-embedding-005               2_048  0.1
text-multilingual-embedding-002  2_048  0.1
gemini-embedding-001             2_048  0.15
"""

SPEC = ProviderSpec(
    name="vertex_gemini",
    title="Gemini on Vertex AI",
    port=8091,
    variables=("GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS"),
    hint=(
        "Set GOOGLE_CLOUD_PROJECT, and GOOGLE_APPLICATION_CREDENTIALS to a service-account file"
        " (or run `gcloud auth application-default login`). VERTEX_AI_LOCATION is the region (us-east5)."
    ),
    models=rows("vertex_gemini", MODELS),
    wire="gemini",
    path="/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:streamGenerateContent?alt=sse",
    count_path="/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:countTokens",
    auth="google",
    embeddings=EmbeddingRoute(
        path="/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:predict",
        models=embedding_rows("vertex_gemini", EMBEDDINGS),
        most_tokens=20_000,
        one_by_one=("gemini-",),
    ),
)
