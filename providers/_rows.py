"""Model rows written as a table, one model a line, so that a provider's file stays data that can be read and compared."""

from __future__ import annotations

from providers.base import ModelInfo

NO_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
"""What reasoning-first models reject."""


def rows(provider: str, table: str) -> tuple[ModelInfo, ...]:
    """Return the models of a table with the columns id, alias, window, output, in, out, cached and flags.

    Prices are in USD per million tokens; `-` stands for none. Flags, comma-separated: reasoning, text (takes no images),
    nosampling (rejects temperature, top_p and top_k), global (served at that location only), cheap (does chores such as
    condensing a thread). Lines that begin with # are comments.
    """
    lines = (line.split() for line in table.splitlines())
    return tuple(_row(provider, cells) for cells in lines if cells and not cells[0].startswith("#"))


def embedding_rows(provider: str, table: str) -> tuple[ModelInfo, ...]:
    """Return the embedding models of a table with the columns id, window and in: tokens of one text, USD per million tokens or `-`."""
    return tuple(
        ModelInfo(
            provider=provider, id=name, context_window=int(window.replace("_", "")), max_output=0, input_usd_per_mtok=_price(price),
            output_usd_per_mtok=0.0, images=False,
        )
        for name, window, price in (line.split() for line in table.strip().splitlines())
    )  # fmt: skip


def _row(provider: str, cells: list[str]) -> ModelInfo:
    name, alias, window, output, price_in, price_out, cached, flags = cells
    flagged = set(flags.split(","))
    return ModelInfo(
        provider=provider,
        id=name,
        aliases=() if alias == "-" else (alias,),
        context_window=int(window.replace("_", "")),
        max_output=int(output.replace("_", "")),
        input_usd_per_mtok=_price(price_in),
        output_usd_per_mtok=_price(price_out),
        cached_usd_per_mtok=_price(cached),
        images="text" not in flagged,
        reasoning="reasoning" in flagged,
        cheap="cheap" in flagged,
        location="global" if "global" in flagged else None,
        drop=NO_SAMPLING if "nosampling" in flagged else frozenset(),
    )


def _price(cell: str) -> float | None:
    return None if cell == "-" else float(cell)
