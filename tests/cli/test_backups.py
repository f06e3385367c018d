"""parley threads backup, restore and reindex."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from memory.config import MemoryConfig
from tests.cli.kept import conversation, loaded, panel
from tests.cli.run import Here, is_one_line, parley


def ids(here: Here) -> set[str]:
    return {row["continuation_id"] for row in json.loads(here("threads", "ls", "--json")[1])["threads"]}


def test_a_backup_is_restored_into_another_home(here: Here, home: Path, tmp_path: Path) -> None:
    threads = {conversation(home), panel(home)}
    status, out, err = here("threads", "backup", "all.db")
    assert (status, err) == (0, "") and out.startswith(f"{tmp_path}/all.db: 2 threads, 9 turns, ")
    assert stat.S_IMODE((tmp_path / "all.db").stat().st_mode) == 0o600
    other = {"PARLEY_HOME": str(tmp_path / "other")}
    status, out, err = here("threads", "restore", "all.db", env=other)
    assert (status, err) == (0, "") and out.startswith(f"{tmp_path}/other/threads.db: 2 threads, 9 turns, ")
    for thread_id in threads:
        assert loaded(tmp_path / "other", thread_id) == loaded(home, thread_id)


def test_as_json_both_tell_what_is_where(here: Here, home: Path, tmp_path: Path) -> None:
    conversation(home)
    file = str(tmp_path / "all.db")
    status, out, err = here("threads", "backup", file, "--json")
    document = json.loads(out)
    assert (status, err, document) == (0, "", {"file": file, "threads": 1, "turns": 3, "bytes": (tmp_path / "all.db").stat().st_size})
    restored = json.loads(here("threads", "restore", file, "--json")[1])
    assert restored == {**document, "replaced": str(next(home.glob("threads.db.replaced-*")))}
    assert json.loads(here("threads", "restore", file, "--json", env={"PARLEY_HOME": str(tmp_path / "new")})[1])["replaced"] is None


def test_a_backup_is_not_written_over_unasked(here: Here, home: Path, tmp_path: Path) -> None:
    conversation(home)
    (tmp_path / "all.db").write_text("mine")
    line = here.refused("threads", "backup", "all.db")
    assert "all.db is there already" in line and "--force" in line
    assert (tmp_path / "all.db").read_text() == "mine"
    assert here("threads", "backup", "all.db", "--force")[0] == 0
    assert "is the thread database itself" in here.refused("threads", "backup", MemoryConfig(home=home).database, "--force")


def test_newer_threads_are_not_lost_unasked_and_never_for_good(here: Here, home: Path) -> None:
    first = conversation(home)
    here("threads", "backup", "all.db")
    second = conversation(home)
    status, out, err = here("threads", "restore", "all.db")
    assert (status, out) == (1, "") and is_one_line(err) and second in err and "--force" in err
    assert ids(here) == {first, second}
    status, out, err = here("threads", "restore", "all.db", "--force")
    (kept,) = home.glob("threads.db.replaced-*")
    assert (status, err) == (0, f"what was there before is {kept}\n") and ids(here) == {first}
    assert here("threads", "restore", kept)[0] == 0
    assert ids(here) == {first, second}


def test_what_cannot_be_done_is_one_line(here: Here, home: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 1000)
    for arguments in (("backup", "x"), ("restore", "text"), ("restore", "missing"), ("restore", tmp_path), ("reindex",)):
        status, out, err = here("threads", *arguments)
        assert (status, out) == (1, "") and is_one_line(err), arguments
    assert not (tmp_path / "x").exists()
    assert "not a whole path" in here.refused("threads", "backup", "x", env={"PARLEY_HOME": "relative"})


def test_the_installed_command_does_it_in_processes_of_its_own(home: Path, tmp_path: Path) -> None:
    conversation(home)
    for words in (("backup", "all.db"), ("restore", "all.db"), ("reindex",)):
        assert parley("threads", *words, cwd=tmp_path)[0] == 0
