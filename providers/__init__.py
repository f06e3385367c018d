"""Models behind one protocol. A new provider is one file of data and one line here, in the default order of failover."""

from __future__ import annotations

from providers import github_models, openrouter, vertex_claude, vertex_gemini
from providers.base import ProviderSpec

SPECS: tuple[ProviderSpec, ...] = (
    vertex_claude.SPEC,
    vertex_gemini.SPEC,
    github_models.SPEC,
    openrouter.SPEC,
)
