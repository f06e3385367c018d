"""The control routes under /_sim/: script answers and faults, read the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from .exchange import LABEL
from .extraction_table import parse_odd, parse_recorded
from .faults import parse_fault
from .handling import State
from .jsonish import Json, as_dict, as_list
from .rules import parse_rule

_PARTS = ("rules", "faults", "extractions", "log", "models", "tokens")


def reset(state: State, parts: list[str] | None = None) -> None:
    """Forget rules, faults, extractions, log and changed models (or only those parts). Tokens are only revoked when asked for by name."""
    wanted = parts if parts is not None else [part for part in _PARTS if part != "tokens"]
    for part in wanted:
        if part not in _PARTS:
            raise ValueError(f"cannot reset {part!r}; known: {', '.join(_PARTS)}")
    clear: dict[str, Callable[[], None]] = {
        "rules": state.rules.clear, "faults": state.faults.clear, "extractions": state.extractions.clear, "log": state.log.reset,
        "models": state.models.reset, "tokens": state.tokens.revoke,
    }
    for part in wanted:
        clear[part]()
    state.changed()


def snapshot(state: State) -> Json:
    """Counts: requests in flight, in all and at most at once, per provider; scripts left; tokens issued."""
    log = state.log
    return {
        "simulated": True,
        "in_flight": {key: value for key, value in log.in_flight.items() if value},
        "max_in_flight": dict(log.max_in_flight),
        "totals": dict(log.totals),
        "rules": len(state.rules),
        "faults": len(state.faults),
        **state.extractions.counts,
        "tokens_issued": state.tokens.issued,
    }


class Control:
    """Handlers for the control routes."""

    def __init__(self, state: State) -> None:
        self.state = state

    def add_to(self, app: web.Application) -> None:
        """Put the routes on an application."""
        app.router.add_post("/_sim/rules", self._checked(self._rules))
        app.router.add_post("/_sim/faults", self._checked(self._faults))
        app.router.add_post("/_sim/extractions", self._checked(self._extractions))
        app.router.add_post("/_sim/odd_extractions", self._checked(self._odd_extractions))
        app.router.add_post("/_sim/models", self._checked(self._models))
        app.router.add_post("/_sim/reset", self._checked(self._reset))
        app.router.add_get("/_sim/log", self._log)
        app.router.add_get("/_sim/state", self._state)
        app.router.add_route("*", "/_sim/{tail:.*}", self._unknown)

    def _checked(self, act: Callable[[Any], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Parses the body; a mistake in it is a 400 saying which."""

        async def handle(request: web.Request) -> web.Response:
            raw = await request.read()
            try:
                return _json(act(orjson.loads(raw) if raw.strip() else None))
            except orjson.JSONDecodeError as error:
                return _json({"error": f"the body is not JSON: {error}"}, 400)
            except ValueError as error:
                return _json({"error": str(error)}, 400)

        return handle

    def _rules(self, body: Any) -> Json:
        rules = [parse_rule(item) for item in _objects(body, "rules")]
        for rule in rules:
            self.state.rules.add(rule)
        return {"added": len(rules), "rules": len(self.state.rules)}

    def _faults(self, body: Any) -> Json:
        faults = [parse_fault(item) for item in _objects(body, "faults")]
        for fault in faults:
            self.state.faults.add(fault)
        return {"added": len(faults), "faults": len(self.state.faults)}

    def _extractions(self, body: Any) -> Json:
        table, items = self.state.extractions, _objects(body, "extractions")
        table.add([parse_recorded(item) for item in items])
        return {"added": len(items), **table.counts}

    def _odd_extractions(self, body: Any) -> Json:
        table, items = self.state.extractions, _objects(body, "odd_extractions")
        for odd in [parse_odd(item) for item in items]:
            table.add_odd(odd)
        return {"added": len(items), **table.counts}

    def _models(self, body: Any) -> Json:
        items = _objects(body, "models")
        for item in items:
            change_model(self.state, item)
        return {"changed": len(items)}

    def _reset(self, body: Any) -> Json:
        given = as_dict(body)
        if body is not None and given is None:
            raise ValueError('reset takes no body, or {"parts": ["rules", ...]}')
        parts = (given or {}).get("parts")
        if parts is not None and as_list(parts) is None:
            raise ValueError("parts must be a list")
        reset(self.state, parts)
        return {"reset": parts or "all"}

    async def _log(self, request: web.Request) -> web.Response:
        provider = request.query.get("provider")
        return _json([entry for entry in self.state.log.entries if provider in (None, entry["provider"])])

    async def _state(self, request: web.Request) -> web.Response:
        return _json(snapshot(self.state))

    async def _unknown(self, request: web.Request) -> web.Response:
        return _json({"error": f"no control route {request.method} {request.path}"}, 404)


def change_model(state: State, given: Json) -> None:
    """Change or add one model from its JSON. Raises ValueError saying what is wrong."""
    rest = dict(given)
    provider, name = rest.pop("provider", None), rest.pop("model", None)
    if not isinstance(provider, str) or not isinstance(name, str):
        raise ValueError("a model change needs provider and model")
    state.models.change(provider, name, **rest)


def _objects(body: Any, key: str) -> list[Json]:
    """One object, a list of them, or {key: [...], ...defaults}: the list."""
    given = as_dict(body)
    items = as_list(body)
    if given is not None and key in given:
        shared = {name: value for name, value in given.items() if name != key}
        items = [{**shared, **(as_dict(item) or {})} for item in as_list(given[key]) or []]
    elif given is not None:
        items = [given]
    if not items or any(as_dict(item) is None for item in items):
        raise ValueError(f"expected an object, a list of objects, or {{\"{key}\": [...]}}")
    return items


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=LABEL)
