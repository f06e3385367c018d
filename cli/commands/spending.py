"""`parley spending`: what answers cost, by day, provider, model and session."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cli.context import Context
from cli.log import configure_logging
from cli.output import WrongUse, put, put_json, table

_MOST_DAYS = 3660
_GROUPS = ("providers", "models", "sessions")


def run(context: Context, arguments: list[str]) -> int:
    """Print the days on which something was asked, the newest first."""
    parser = context.parser("spending", "Show what answers cost, by day (UTC), provider, model and session.")
    parser.add_argument("--days", type=int, default=7, help="so many days, today included (7)")
    parser.add_argument("--json", action="store_true", help="all of it as JSON")
    options = parser.parse_args(arguments)
    if not 1 <= options.days <= _MOST_DAYS:
        raise WrongUse(f"--days must be from 1 to {_MOST_DAYS}")
    env = context.environment(options)
    configure_logging(env)
    from cli.wire import run_with_app
    from tools.app import App

    async def show(app: App) -> int:
        today = datetime.now(UTC).date()
        days = [(today - timedelta(days=back)).isoformat() for back in range(options.days)]
        found = [] if app.budget is None else await app.budget.told(days)
        if options.json:
            put_json({"days": found, "limit_usd": None if app.budget is None else app.budget.limit_usd})
        else:
            put("\n\n".join(map(_section, found)) or f"Nothing was asked in the last {options.days} days.")
        return 0

    return run_with_app(env, show)


def _section(day: dict[str, Any]) -> str:
    rows = [[f"  {name}", *_row(figures)] for group in _GROUPS for name, figures in day[group].items()]
    return "\n".join([f"{day['day']}: {', '.join(_row(day))}", table(rows)]).rstrip()


def _row(figures: dict[str, Any]) -> list[str]:
    unpriced = f" and {figures['unpriced']} of unknown price" if figures["unpriced"] else ""
    tokens = f"{figures['input_tokens']:,} tokens in ({figures['cached_tokens']:,} cached), {figures['output_tokens']:,} out"
    return [f"${figures['usd']:.4f}{unpriced}", f"{figures['requests']:,} requests", tokens]
