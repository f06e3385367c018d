"""Env files, placeholders, and the variables there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli import environment
from cli.environment import (
    NAMES,
    VARIABLES,
    is_unset,
    load_environment,
    parse_line,
    read_env_file,
    secrets,
    template,
    unknown_names,
)
from cli.output import WrongUse
from providers.config import ProviderSettings

PLACEHOLDERS = {"GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS", "GITHUB_TOKEN", "OPENROUTER_API_KEY"}
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("A=1", ("A", "1")),
        ("  export A_b2 = x y ", ("A_b2", "x y")),
        ("export\tA=x", ("A", "x")),
        ("A=", ("A", "")),
        ("A=x=y", ("A", "x=y")),
        ("A=x # comment", ("A", "x")),
        ("A=x#no-comment", ("A", "x#no-comment")),
        ("A=# comment", ("A", "")),
        ("A='x # y'", ("A", "x # y")),
        ("A='a\\nb'", ("A", "a\\nb")),
        ('A="a\\nb\\t\\"c\\" \\\\ \\$d \\q"', ("A", 'a\nb\t"c" \\ $d \\q')),
        ('A="x"  # comment', ("A", "x")),
        ("A=''", ("A", "")),
        ("A=it's", ("A", "it's")),
        ("exported=1", ("exported", "1")),
        ("", None),
        ("   ", None),
        ("# A=1", None),
    ],
)
def test_a_line_gives_a_pair_or_nothing(line: str, pair: tuple[str, str] | None) -> None:
    assert parse_line(line) == pair


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nothing-secret", "expected NAME=VALUE"),
        ("1A=hunter2", "the name before ="),
        ("A B=hunter2", "the name before ="),
        ("=hunter2", "the name before ="),
        ('A="hunter2', 'the value of A has no closing "'),
        ("A='hunter2", "the value of A has no closing '"),
        ('A="hunter2\\"', 'the value of A has no closing "'),
        ("A='x' hunter2", "goes on after its closing '"),
        ("A=hunter2\0", "NUL byte"),
    ],
)
def test_a_wrong_line_is_an_error_naming_file_and_line_and_never_the_value(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "keys.env"
    path.write_text(f"# first\nB=2\n{line}\n")
    with pytest.raises(WrongUse) as wrong:
        read_env_file(path)
    assert str(wrong.value).startswith(f"{path}:3: ") and complaint in str(wrong.value)
    assert "hunter2" not in str(wrong.value)


def test_files_may_have_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.env"
    path.write_bytes(b"\xef\xbb\xbfA=1\r\nB='2'\r\n")
    assert read_env_file(path) == {"A": "1", "B": "2"}


def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongUse, match=r"cannot read the env file .*No such file"):
        load_environment({}, [tmp_path / "none.env"])
    with pytest.raises(WrongUse, match="cannot read"):
        load_environment({}, [tmp_path])
    (tmp_path / "binary.env").write_bytes(b"A=1\nB=\xff\n")
    with pytest.raises(WrongUse, match=r"binary\.env:2: not UTF-8"):
        load_environment({}, [tmp_path / "binary.env"])
    monkeypatch.setattr(environment, "MAX_FILE_BYTES", 3)
    with pytest.raises(WrongUse, match="larger than 3 bytes"):
        load_environment({}, [tmp_path / "binary.env"])


def test_the_real_environment_wins_over_files_and_later_files_over_earlier(tmp_path: Path) -> None:
    (tmp_path / "one.env").write_text("A=one\nB=one\nC=one\n")
    (tmp_path / "two.env").write_text("B=two\nC=two\nD=your_key_here\n")
    env = load_environment({"C": "real", "E": "real"}, [tmp_path / "one.env", tmp_path / "two.env"])
    assert env == {"A": "one", "B": "two", "C": "real", "E": "real"}


@pytest.mark.parametrize(
    "value", ["", "  ", "your_key_here", "YOUR_PROJECT_HERE", "your-token-here", "${GITHUB_TOKEN}", "${GITHUB_TOKEN:-}"]
)
def test_placeholders_count_as_unset_and_leave_room_for_a_file(tmp_path: Path, value: str) -> None:
    assert is_unset(value)
    (tmp_path / "a.env").write_text("GITHUB_TOKEN=from-file\nOPENROUTER_API_KEY=real\n")
    env = load_environment({"GITHUB_TOKEN": value}, [tmp_path / "a.env"])
    assert env == {"GITHUB_TOKEN": "from-file", "OPENROUTER_API_KEY": "real"}


def test_blanks_around_a_value_of_ours_mean_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("PARLEY_TOKEN=' secret-word '\nOTHER=' kept '\n")
    env = load_environment({"PARLEY_HOST": " 127.0.0.1 "}, [tmp_path / "a.env"])
    assert env == {"PARLEY_TOKEN": "secret-word", "OTHER": " kept ", "PARLEY_HOST": "127.0.0.1"}
    assert secrets(env) == ("secret-word",)


@pytest.mark.parametrize("value", ["x", "your_key", "key_here", "not your_key_here", "$HOME", "a${B}"])
def test_other_values_are_values(value: str) -> None:
    assert not is_unset(value)


def test_secrets_are_known_by_the_names_of_their_variables_and_by_their_place_in_urls() -> None:
    env = {
        "GITHUB_TOKEN": "token-value",
        "OPENROUTER_API_KEY": "key-value",
        "REDIS_URL": "redis://user:pass-word@host:6379/0",
        "GOOGLE_APPLICATION_CREDENTIALS": "/somewhere/file.json",
        "PARLEY_TOKEN": "short",
        "PARLEY_CHAIN": "openrouter",
    }
    assert set(secrets(env)) == {"token-value", "key-value", "pass-word"}


def test_misspelt_variables_are_noticed() -> None:
    assert unknown_names({"PARLEY_CHIAN": "x", "PARLEY_CHAIN": "y", "HOME": "z"}) == ["PARLEY_CHIAN"]


def test_the_printed_template_reads_as_an_env_file_that_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.env"
    path.write_text(template())
    assert ProviderSettings.from_env(load_environment({}, [path])) == ProviderSettings.from_env({}).model_copy(
        update={"unfilled": dict.fromkeys(PLACEHOLDERS, "a placeholder")}
    )
    assert set(load_environment({}, [path])) == PLACEHOLDERS
    assert set(read_env_file(path)) == PLACEHOLDERS


def test_the_template_files_name_every_variable_that_does_something() -> None:
    files = sorted((ROOT / "config").glob("*.env.template"))
    assert len(files) == 4
    named = [name for file in files for name in re.findall(r"^#?([A-Z][A-Z0-9_]+)=", file.read_text(), re.MULTILINE)]
    assert sorted(named) == sorted(variable.name for variable in VARIABLES)


def test_every_variable_that_the_code_reads_is_printed() -> None:
    sources = [path for folder in ("cli", "gateway", "graph", "memory", "providers", "tools") for path in (ROOT / folder).rglob("*.py")]
    texts = [path.read_text() for path in sources if path.name != "environment.py"]
    ours = r"(?:PARLEY|REDIS|GOOGLE|CLOUDSDK|VERTEX|GITHUB|OPENROUTER)_[A-Z_]*[A-Z]"
    named = {name for text in texts for name in re.findall(rf'"({ours})"', text)}
    assert {"PARLEY_HOME", "CLOUDSDK_CONFIG", "GITHUB_TOKEN"} <= named <= NAMES
    assert all(re.search(rf"^#? ?{name}=", template(), re.MULTILINE) for name in named)


def test_a_placeholder_stays_only_where_a_provider_can_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("GITHUB_TOKEN=your_token_here\nOPENROUTER_API_KEY=your_key_here\nPARLEY_TOKEN=your_token_here\n")
    env = load_environment({"OPENROUTER_API_KEY": "real-key", "GOOGLE_CLOUD_PROJECT": ""}, [tmp_path / "a.env"])
    assert env == {"GITHUB_TOKEN": "your_token_here", "OPENROUTER_API_KEY": "real-key"}
    assert secrets(env) == ("real-key",)
