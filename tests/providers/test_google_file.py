"""Google credentials are found where gcloud and Google's libraries look, and every broken file is named for what it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from providers._google import CredentialsFile, find_credentials
from providers._google_file import FileProblem, read_credentials
from tests.providers.google_endpoint import authorized_user, secrets, service_account, write

URI = "https://oauth2.googleapis.com/token"


def found(value: Path | str, **more: str) -> CredentialsFile:
    file = find_credentials({"GOOGLE_APPLICATION_CREDENTIALS": str(value), **more})
    assert file is not None
    return file


def problem(value: Path | str, tmp_path: Path) -> str:
    file = found(value)
    assert file.problem is not None
    assert file.hint
    assert file.kind is None
    shown = f"{file.problem} {file.hint} {file!r}"
    assert str(tmp_path) not in shown
    assert not [secret for secret in secrets() if secret in shown]
    return file.problem


def test_no_variables_and_no_gcloud_folder_mean_no_credentials(tmp_path: Path) -> None:
    assert find_credentials({}) is None
    assert find_credentials({"HOME": str(tmp_path)}) is None
    assert find_credentials({"GOOGLE_APPLICATION_CREDENTIALS": "  ", "CLOUDSDK_CONFIG": str(tmp_path), "HOME": "/"}) is None


def test_a_service_account_is_described_with_its_project(tmp_path: Path) -> None:
    file = found(write(tmp_path, service_account(URI, universe_domain="example.goog")))
    assert (file.kind, file.project_id, file.universe_domain, file.problem) == ("service_account", "sim-project", "example.goog", None)
    assert file.quota_project_id is None


def test_an_authorized_user_is_described_with_the_quota_project(tmp_path: Path) -> None:
    file = found(write(tmp_path, authorized_user(URI)))
    assert (file.kind, file.project_id, file.quota_project_id) == ("authorized_user", "quota-project", "quota-project")


def test_projects_and_universe_that_are_blank_or_not_text_are_left_out(tmp_path: Path) -> None:
    file = found(write(tmp_path, service_account(URI, project_id=" ", quota_project_id=5, universe_domain="")))
    assert (file.project_id, file.quota_project_id, file.universe_domain) == (None, None, "googleapis.com")


@pytest.mark.parametrize(("variable", "below"), [("CLOUDSDK_CONFIG", ""), ("HOME", ".config/gcloud")])
def test_gclouds_default_credentials_are_found(tmp_path: Path, variable: str, below: str) -> None:
    folder = tmp_path / below
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, authorized_user(URI), "application_default_credentials.json")
    file = find_credentials({variable: str(tmp_path)})
    assert file is not None
    assert (file.kind, file.variable, file.problem) == ("authorized_user", variable, None)


def test_the_variable_wins_over_gcloud_and_a_broken_file_does_not_fall_back(tmp_path: Path) -> None:
    write(tmp_path, authorized_user(URI), "application_default_credentials.json")
    file = found(tmp_path / "gone.json", CLOUDSDK_CONFIG=str(tmp_path))
    assert file.problem == "gone.json (from GOOGLE_APPLICATION_CREDENTIALS) does not exist"


def test_a_broken_gcloud_file_is_a_problem_that_says_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "application_default_credentials.json").write_text("{")
    file = find_credentials({"CLOUDSDK_CONFIG": str(tmp_path)})
    assert file is not None
    assert file.problem == "gcloud's application_default_credentials.json (from CLOUDSDK_CONFIG) is not JSON"


def test_a_tilde_from_an_env_file_is_the_home_folder(tmp_path: Path) -> None:
    write(tmp_path, service_account(URI))
    assert found("~/key.json", HOME=str(tmp_path)).problem is None
    assert found("~/key.json").problem is not None


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(json.dumps(service_account(URI)), encoding="utf-8-sig")
    assert found(tmp_path / "key.json").problem is None


def test_a_missing_token_uri_is_googles_own(tmp_path: Path) -> None:
    path = write(tmp_path, service_account(""))
    assert read_credentials(found(path))["token_uri"] == URI


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (service_account(URI, private_key=""), "lacks private_key"),
        (service_account(URI, private_key=7, client_email=None), "lacks client_email, private_key"),
        (service_account(URI, private_key="abc"), "not in PEM form"),
        (authorized_user(URI, refresh_token=None, client_secret=" "), "lacks client_secret, refresh_token"),
        (authorized_user(URI, universe_domain="example.goog"), "outside googleapis.com"),
        ({"type": "external_account", "audience": "x"}, "workload identity federation"),
        ({"type": "external_account_authorized_user"}, "workforce identity federation"),
        ({"type": "impersonated_service_account"}, "impersonated service account"),
        ({"type": "gdch_service_account"}, "Distributed Cloud"),
        ({"installed": {"client_secret": "planted"}}, "OAuth client's file"),
        ({"type": ["service_account"]}, "does not say that it is"),
        ({}, "does not say that it is"),
        ([1, 2], "does not hold a JSON object"),
    ],
)
def test_a_file_of_the_wrong_content_is_told_apart(tmp_path: Path, info: Any, says: str) -> None:
    text = problem(write(tmp_path, info), tmp_path)
    assert text.startswith("key.json (from GOOGLE_APPLICATION_CREDENTIALS) ")
    assert says in text


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe\x00", b"[" * 60_000, b"not json at all"])
def test_a_file_that_is_not_json_is_told_apart(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "key.json").write_bytes(raw)
    assert "is not JSON" in problem(tmp_path / "key.json", tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "http://token.example/token",
        "http://127.0.0.1.example/token",
        "http://10.0.0.1/token",
        "ftp://127.0.0.1/token",
        "https://user@token.example/token",
        "https://",
        "https://[::1",
        "https://host:port/",
        "https://token.example/a\nb",
        "https://token.example/a b",
        17,
    ],
)
def test_secrets_are_sent_over_tls_or_on_this_machine_only(tmp_path: Path, uri: object) -> None:
    info = service_account(URI)
    info["token_uri"] = uri
    assert "token_uri that is neither https nor on this machine" in problem(write(tmp_path, info), tmp_path)


@pytest.mark.parametrize("uri", ["http://127.0.0.9:1/token", "http://localhost/token", "http://[::1]:9/token", "https://token.example/t"])
def test_loopback_and_https_token_addresses_are_accepted(tmp_path: Path, uri: str) -> None:
    assert found(write(tmp_path, service_account(uri))).problem is None


def test_folders_pipes_and_oversized_files_are_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "large.json").write_text(" " * 70_000)
    assert "is not a regular file" in problem(tmp_path, tmp_path)
    assert "is not a regular file" in problem(tmp_path / "pipe.json", tmp_path)
    assert "larger than any" in problem(tmp_path / "large.json", tmp_path)


def test_a_path_through_a_file_or_a_loop_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    (tmp_path / "plain").write_text("x")
    assert "loop.json (from GOOGLE_APPLICATION_CREDENTIALS) cannot be read" in problem(tmp_path / "loop.json", tmp_path)
    assert "cannot be read (NotADirectoryError)" in problem(tmp_path / "plain" / "key.json", tmp_path)


@pytest.mark.parametrize(
    "value", ['{"type": "service_account", "private_key": "planted"}', "-----BEGIN PRIVATE KEY-----\nplanted", "e30K" * 400]
)
def test_a_key_pasted_into_the_variable_is_not_repeated(value: str) -> None:
    file = found(value)
    assert file.problem == "GOOGLE_APPLICATION_CREDENTIALS holds something other than the path of a file"
    assert value not in f"{file!r} {file.hint}"
    with pytest.raises(FileProblem, match="something other than the path"):
        read_credentials(file)


def test_a_value_that_does_not_look_like_a_key_file_is_not_repeated(tmp_path: Path) -> None:
    assert problem("planted-api-key-0123456789", tmp_path) == "the file GOOGLE_APPLICATION_CREDENTIALS names does not exist"


def test_a_path_of_nothing_reads_as_a_problem() -> None:
    with pytest.raises(FileProblem, match="HOME names no file"):
        read_credentials(CredentialsFile(variable="HOME", path=Path()))
