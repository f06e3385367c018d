"""Simulated Gemini refuses what the real one refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator
from simulator.signing import sign_thought
from tests.simulator.support import PNG, Client, gemini_body

CALL = {"functionCall": {"name": "look", "args": {}}}
RESPONSE = {"functionResponse": {"name": "look", "response": {"result": "there"}}}


def turns(*parts: Any) -> list[dict[str, Any]]:
    """User and model in turn."""
    return [{"role": "model" if index % 2 else "user", "parts": part} for index, part in enumerate(parts)]


def text(words: str = "x") -> list[dict[str, Any]]:
    return [{"text": words}]


def function(parameters: dict[str, Any], name: str = "look") -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": name, "description": "d", "parameters": parameters}]}]}


def schema(**prop: Any) -> dict[str, Any]:
    return function({"type": "object", "properties": {"p": prop}})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no contents": ({"contents": []}, "at least one contents field is required"),
    "unknown key": ({"messages": []}, 'Unknown name "messages": Cannot find field.'),
    "unknown role": ({"contents": [{"role": "assistant", "parts": text()}]}, "Please use a valid role: user, model."),
    "no parts": ({"contents": [{"role": "user", "parts": []}]}, "must include at least one parts field"),
    "unknown key in a content": ({"contents": [{"role": "user", "content": "x"}]}, 'Unknown name "content" at \'contents[0]\''),
    "content of no object": ({"contents": ["x"]}, "Invalid value at 'contents[0]'"),
    "empty text": ({"contents": turns(text(""))}, "it has an empty text parameter"),
    "text of no string": ({"contents": turns([{"text": 7}])}, "Invalid value at 'contents[0].parts[0].text'"),
    "two kinds in a part": ({"contents": turns([{"text": "x", **CALL}])}, "required oneof field 'data'"),
    "nothing in a part": ({"contents": turns([{"thought": True}])}, "required oneof field 'data'"),
    "Anthropic's block": ({"contents": turns([{"type": "text", "text": "x"}])}, 'Unknown name "type"'),
    "cache_control": ({"contents": turns([{"text": "x", "cache_control": {}}])}, 'Unknown name "cache_control"'),
    "model last": ({"contents": turns(text(), text())}, "multiturn requests end with a user role"),
    "call by the user": ({"contents": turns([CALL])}, "function call turn is a model turn"),
    "call without response": ({"contents": turns(text(), [CALL], text())}, "number of function response parts is equal"),
    "call at the very end": ({"contents": turns(text(), [CALL])}, "number of function response parts is equal"),
    "response without call": ({"contents": turns([RESPONSE])}, "number of function response parts is equal"),
    "response of another name": (
        {"contents": turns(text(), [CALL], [{"functionResponse": {"name": "fly", "response": {}}}])}, "names match the function calls",
    ),
    "response of no object": (
        {"contents": turns(text(), [CALL], [{"functionResponse": {"name": "look", "response": "x"}}])}, "function_response.response",
    ),
    "foreign thought signature": ({"contents": turns(text(), [{"text": "y", "thoughtSignature": "QUJD"}], text())}, "Corrupted thought"),
    "thought signature of no base64": ({"contents": turns(text(), [{"text": "y", "thoughtSignature": "?"}], text())}, "Corrupted thought"),
    "forged thought signature": (
        {"contents": turns(text(), [{"text": "y", "thoughtSignature": sign_thought("a")[:-8] + "AAAAAAA="}], text())}, "Corrupted thought",
    ),
    "image of another type": (
        {"contents": turns([{"inlineData": {"mimeType": "image/jpeg", "data": PNG}}])}, "does not match the provided media type",
    ),
    "image of no base64": ({"contents": turns([{"inlineData": {"mimeType": "image/png", "data": "?"}}])}, "Invalid base64"),
    "max output over the limit": ({"generationConfig": {"maxOutputTokens": 70_000}}, "maxOutputTokens value of 70000"),
    "max output of zero": ({"generationConfig": {"maxOutputTokens": 0}}, "maxOutputTokens value of 0"),
    "temperature over 2": ({"generationConfig": {"temperature": 2.5}}, "temperature value of 2.5"),
    "unknown generation key": ({"generationConfig": {"maxTokens": 5}}, "Unknown name \"maxTokens\" at 'generation_config'"),
    "thinking budget of zero on pro": ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, "thinking budget is out of range"),
    "thinking level on 2.5": ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}, "thinking_level is not supported"),
    "$schema": (function({"$schema": "x", "type": "object"}), 'Unknown name "$schema" at \'tools[0].function_declarations[0].parameters\''),
    "additionalProperties": (function({"type": "object", "additionalProperties": False}), 'Unknown name "additionalProperties"'),
    "exclusiveMinimum": (schema(type="integer", exclusiveMinimum=0), 'Unknown name "exclusiveMinimum"'),
    "const": (schema(const="x"), 'Unknown name "const"'),
    "propertyNames deep down": (schema(type="array", items={"type": "object", "propertyNames": {}}), 'Unknown name "propertyNames"'),
    "oneOf inside anyOf": (schema(anyOf=[{"oneOf": []}]), 'Unknown name "oneOf"'),
    "list of types": (schema(type=["string", "null"]), "Invalid value at"),
    "unknown type": (schema(type="date"), "Invalid value at"),
    "unknown string format": (schema(type="string", format="uri"), "only 'enum' and 'date-time' are supported"),
    "array without items": (schema(type="array"), "items: missing field"),
    "required but not defined": (function({"type": "object", "required": ["q"]}), "property is not defined: q"),
    "schema of no object": (schema(type="array", items=[{"type": "string"}]), "Invalid value at"),
    "bad function name": (function({"type": "object"}, name="2 look"), "Invalid function name"),
    "doubled function": ({"tools": [*function({"type": "object"})["tools"] * 2]}, "Duplicate function declaration found: look"),
    "response schema": ({"generationConfig": {"responseSchema": {"$ref": "x"}}}, 'Unknown name "$ref"'),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_gemini_refuses(client: Client, change: dict[str, Any], words: str) -> None:
    reply = await client.gemini(gemini_body(**change))
    assert reply.status == 400
    assert reply.json["error"]["status"] == "INVALID_ARGUMENT" and reply.json["error"]["code"] == 400
    assert words in reply.message


@pytest.mark.parametrize("sse", [True, False])
async def test_a_streams_refusal_comes_in_an_array(client: Client, sse: bool) -> None:
    reply = await client.gemini(gemini_body(contents=[]), stream=True, sse=sse)
    assert reply.status == 400
    assert reply.json[0]["error"]["status"] == "INVALID_ARGUMENT"


async def test_both_spellings_of_a_field_are_taken(client: Client) -> None:
    body = gemini_body(
        system_instruction={"parts": text("be brief")},
        generation_config={"max_output_tokens": 100, "thinking_config": {"include_thoughts": True, "thinking_budget": 128}},
        tools=[{"function_declarations": [{"name": "look", "parameters": {"type": "OBJECT", "any_of": [{"min_items": 1}]}}]}],
        contents=turns([{"inline_data": {"mime_type": "image/png", "data": PNG}}, *text()]),
    )
    reply = await client.gemini(body)
    assert reply.status == 200
    assert reply.json["candidates"][0]["content"]["parts"][0]["thought"] is True


async def test_only_gemini_3_wants_its_thought_signature_back(client: Client, sim: Simulator) -> None:
    sim.rule("vertex_gemini", "", tool_use=[{"name": "look", "input": {}}], times=1)
    first = await client.gemini(model="gemini-3-pro-preview")
    part = first.json["candidates"][0]["content"]["parts"][0]
    signed, bare = turns(text(), [part], [RESPONSE]), turns(text(), [CALL], [RESPONSE])
    dummy = turns(text(), [{**CALL, "thoughtSignature": "skip_thought_signature_validator"}], [RESPONSE])
    encoded = turns(text(), [{**CALL, "thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="}], [RESPONSE])
    for contents, status in ((signed, 200), (dummy, 200), (encoded, 200), (bare, 400)):
        assert (await client.gemini(gemini_body(contents=contents), "gemini-3-pro-preview")).status == status
    assert (await client.gemini(gemini_body(contents=bare), "gemini-2.5-pro")).status == 200
    past = [*bare, {"role": "model", "parts": text()}, {"role": "user", "parts": text()}]
    assert (await client.gemini(gemini_body(contents=past), "gemini-3-pro-preview")).status == 200


async def test_gemini_3_takes_a_level_or_a_budget_not_both(client: Client) -> None:
    config = {"thinkingConfig": {"thinkingLevel": "low", "thinkingBudget": 500}}
    reply = await client.gemini(gemini_body(generationConfig=config), "gemini-3-pro-preview")
    assert "only one of thinking_budget and thinking_level" in reply.message


async def test_flash_may_think_not_at_all(client: Client) -> None:
    config = {"thinkingConfig": {"thinkingBudget": 0}}
    assert (await client.gemini(gemini_body(generationConfig=config), "gemini-2.5-flash")).status == 200


async def test_a_prompt_too_long_says_how_long(client: Client, sim: Simulator) -> None:
    sim.model("vertex_gemini", "gemini-2.5-pro", context_window=100)
    reply = await client.gemini(gemini_body("x" * 404))
    assert (reply.status, reply.message) == (400, "The input token count (101) exceeds the maximum number of tokens allowed (100).")


async def test_unknown_models_and_verbs_are_404(client: Client) -> None:
    assert (await client.gemini(model="gemini-0")).status == 404
    path = "/v1/projects/sim-project/locations/us-east5/publishers/google/models/gemini-2.5-pro:cachedContents"
    assert (await client.send(path, {}, client.token)).status == 404
    assert client.sim.log[-1]["provider"] == "vertex_gemini"
