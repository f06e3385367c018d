"""parley.toml: what it may say, and errors that name file, key and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.config import MAX_BYTES, FileConfig, key_lines, load_file
from cli.output import WrongUse
from providers.base import ModelInfo

PROVIDERS = ("vertex_claude", "openrouter")

WHOLE = """\
# everything there is
[chain]
order = ["openrouter", "vertex_claude"]
first_byte_timeout = 30
hedge_after = 2.5
breaker_failures = 3

[models."openrouter/openai/gpt-5"]
aliases = [
  "gpt",
  "big",
]
context_window = 400_000
input_usd_per_mtok = 1.25
drop = ["temperature"]
first_byte_timeout = 300

[aliases]
fast = "vertex_claude/claude-haiku-4-5"
best = ["opus", "gpt"]

[budget]
daily_usd = 5

[threads]
ttl_days = 30
max_mb = 500
max_tokens = 100_000

[memory]
embedding_model = "x/y"

[roles]
folders = ["roles"]
"""


def loaded(folder: Path, text: str) -> FileConfig:
    path = folder / "parley.toml"
    path.write_text(text)
    return load_file(path, providers=PROVIDERS)


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(WrongUse) as wrong:
        loaded(folder, text)
    assert "\n" not in str(wrong.value)
    assert str(wrong.value).startswith(f"{folder / 'parley.toml'}:")
    return str(wrong.value).removeprefix(f"{folder / 'parley.toml'}:")


def test_settings_with_a_variable_come_out_under_its_name(tmp_path: Path) -> None:
    assert loaded(tmp_path, WHOLE).variables() == {
        "PARLEY_CHAIN": "openrouter,vertex_claude",
        "PARLEY_FIRST_BYTE_TIMEOUT": "30.0",
        "PARLEY_HEDGE_AFTER": "2.5",
        "PARLEY_BREAKER_FAILURES": "3",
        "PARLEY_DAILY_BUDGET_USD": "5.0",
        "PARLEY_THREAD_TTL_DAYS": "30.0",
        "PARLEY_THREADS_MAX_MB": "500.0",
        "PARLEY_EMBEDDING_MODEL": "x/y",
    }


def test_all_of_the_memory_has_a_variable(tmp_path: Path) -> None:
    memory = "[memory]\ngraph_url = 'neo4j://x'\nextraction_model = 'a'\nextraction_small_model = 'b'\nremember_threads = true\n"
    assert loaded(tmp_path, memory).variables() == {
        "PARLEY_GRAPH_URL": "neo4j://x",
        "PARLEY_EXTRACTION_MODEL": "a",
        "PARLEY_EXTRACTION_SMALL_MODEL": "b",
        "PARLEY_REMEMBER_THREADS": "True",
    }


def test_models_come_out_as_fields_of_model_infos(tmp_path: Path) -> None:
    overrides = loaded(tmp_path, WHOLE).overrides()
    fields = overrides["openrouter/openai/gpt-5"]
    model = ModelInfo(provider="openrouter", id="openai/gpt-5").model_copy(update=fields)
    assert ModelInfo.model_validate(model.model_dump()) == model
    assert (model.aliases, model.context_window, model.drop, model.first_byte_timeout) == (
        ("gpt", "big"), 400_000, frozenset({"temperature"}), 300.0,
    )  # fmt: skip


def test_aliases_stand_for_one_name_or_several(tmp_path: Path) -> None:
    assert loaded(tmp_path, WHOLE).alias_targets() == {"fast": ("vertex_claude/claude-haiku-4-5",), "best": ("opus", "gpt")}


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    config = loaded(tmp_path, "")
    assert (config.variables(), config.overrides(), config.alias_targets(), config.roles.folders) == ({}, {}, {}, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[chian]\norder = []\n", "1: there is no section [chian]; did you mean 'chain'?"),
        ("colour = 3\n", "1: there is no section [colour]"),
        ("[threads]\n\nttl_day = 3\n", "3: [threads] has no key 'ttl_day'; did you mean 'ttl_days'?"),
        ('[models."openrouter/x"]\ncontxt_window = 3\n', "2: [models.\"openrouter/x\"] has no key 'contxt_window'; did you mean"),
        ('[threads]\nttl_days = "30"\n', "2: [threads] ttl_days should be a valid number"),
        ("[threads]\nttl_days = 0\n", "2: [threads] ttl_days should be greater than 0"),
        ("[threads]\nmax_mb = 0.5\n", "2: [threads] max_mb should be greater than or equal to 1"),
        ("[threads]\nmax_mb = '1 GB'\n", "2: [threads] max_mb should be a valid number"),
        ("[threads]\nmax_gb = 1\n", "2: [threads] has no key 'max_gb'; did you mean 'max_mb'?"),
        ("[chain]\norder = []\n", "2: [chain] order should not be empty"),
        ("[chain]\nhedge_after = 86401\n", "2: [chain] hedge_after should be less than or equal to 86400"),
        ("[chain]\nbreaker_failures = 1000001\n", "2: [chain] breaker_failures should be less than or equal to 1000000"),
        ("[models.'openrouter/x']\nidle_timeout = 0\n", "2: [models.\"openrouter/x\"] idle_timeout should be greater than 0"),
        ("[threads]\nttl_days = nan\n", "2: [threads] ttl_days should be a finite number"),
        ("[threads]\nmax_tokens = 1.5\n", "2: [threads] max_tokens should be a valid integer"),
        ("[threads]\nmax_tokens = true\n", "2: [threads] max_tokens should be a valid integer"),
        ("[threads]\nmax_tokens = 1979-05-27\n", "2: [threads] max_tokens should be a valid integer"),
        ("threads = 3\n", "1: [threads] should be a table"),
        ("[[threads]]\nttl_days = 3\n", "1: [threads] should be a table"),
        ("threads.ttl_days = 'x'\n", "1: [threads] ttl_days should be a valid number"),
        ("threads = { ttl_days = 'x' }\n", "1: [threads] ttl_days should be a valid number"),
        ("models = 3\n", "1: [models] should be a table"),
        ("[models]\n'openrouter/x' = 3\n", '2: [models] openrouter/x should be a table'),
        ("[chain]\norder = 'openrouter'\n", "2: [chain] order should be a valid list"),
        ("[chain]\norder = [\n  1,\n]\n", "2: [chain] order should be a valid string"),
        ("[aliases]\na = 'x'\nb = 3\n", "3: [aliases] b should be a name or a list of names"),
        ("[aliases]\nb = ['x', 3]\n", "2: [aliases] b should be a name or a list of names"),
        ("[chain]\norder = ['openruter']\n", "2: [chain] order: there is no provider 'openruter'; did you mean 'openrouter'?"),
        ("[models.'gpt-4o']\n", '1: [models."gpt-4o"] must be named provider/model'),
        ("[models.'openrouter/']\n", '1: [models."openrouter/"] must be named provider/model'),
        ("[models.'openruter/x']\n", "1: [models.\"openruter/x\"] must be named provider/model; did you mean 'openrouter'?"),
        ('[aliases]\na = "b"\nb = "a"\n', "2: [aliases] a stands for itself in the end"),
        ('[aliases]\na = ["x", "B"]\nb = ["c"]\nC = "A"\n', "2: [aliases] a stands for itself in the end"),
        ('[aliases]\na = "A"\n', "2: [aliases] a stands for itself in the end"),
        ('[aliases]\nx = "opus"\na = []\n', "3: [aliases] a should name a model, or several"),
        ('[aliases]\na = ["opus", " "]\n', "2: [aliases] a should name a model, or several"),
        ('[aliases]\nAuto = "opus"\n', "2: [aliases] Auto is a name that is taken"),
        ('[aliases]\nopenrouter = "opus"\n', "2: [aliases] openrouter is a name that is taken"),
        ("[threads\n", "1: not valid TOML: "),
        ("[threads]\nttl_days = \n", "2: not valid TOML: Invalid value"),
        ("[threads]\nttl_days = 1\nttl_days = 2\n", "3: not valid TOML: Cannot overwrite a value"),
        ("[threads]\nx = '''never closed", "2: not valid TOML: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_key_and_line(tmp_path: Path, text: str, expected: str) -> None:
    assert complaint(tmp_path, text).startswith(expected)


def test_an_alias_may_lead_to_others_and_add_to_a_family_of_its_name(tmp_path: Path) -> None:
    text = '[aliases]\na = ["b", "c"]\nb = ["c", "d"]\nc = "x"\nopus = ["opus", "gpt"]\n'
    assert loaded(tmp_path, text).alias_targets()["opus"] == ("opus", "gpt")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert loaded(tmp_path, "\ufeff[threads]\nttl_days = 3\n").threads.ttl_days == 3
    assert complaint(tmp_path, "\ufeff[threads]\nttl_day = 3\n").startswith("2: [threads] has no key")


def test_a_file_that_is_too_large_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "parley.toml"
    path.write_text("#" * (MAX_BYTES - 1) + "\n")
    load_file(path, providers=PROVIDERS)
    path.write_text("#" * MAX_BYTES + "\n")
    with pytest.raises(WrongUse, match="is larger than 1000000 bytes"):
        load_file(path, providers=PROVIDERS)


def test_a_wrong_value_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in complaint(tmp_path, "[threads]\nttl_days = 'hunter2'\n")


def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="cannot read the configuration"):
        load_file(tmp_path / "none.toml", providers=PROVIDERS)
    (tmp_path / "parley.toml").write_bytes(b"# ok\n# \xff\n")
    with pytest.raises(WrongUse, match=r"parley\.toml:2: not UTF-8"):
        load_file(tmp_path / "parley.toml", providers=PROVIDERS)


def test_lines_are_found_past_comments_arrays_and_dotted_keys() -> None:
    lines = key_lines(WHOLE + "\n# [commented]\n[a.b]\nc.d = 1\n")
    assert lines[("chain", "order")] == 3
    assert lines[("models", "openrouter/openai/gpt-5", "context_window")] == 13
    assert lines[("aliases", "best")] == 20
    assert ("commented",) not in lines
    assert lines[("a", "b", "c", "d")] == lines[("a", "b")] + 1
