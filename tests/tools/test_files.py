"""Files and images a caller names: what is read, and all that is refused."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import threading
from pathlib import Path

import pytest

from conversation.messages import Warned
from tools.files import FileReader, Place, Reading
from tools.limits import Limits
from tools.refusals import Refused

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 24
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "A1b2" * 16 + "\n-----END RSA PRIVATE KEY-----\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.py").write_text("print('a')\n")
    return folder


@pytest.fixture
def reader(workspace: Path) -> FileReader:
    return FileReader(workspace)


def refusal(reading: Reading) -> str:
    """The one warning of a reading in which nothing was read."""
    assert reading.attachments == []
    (warning,) = reading.warnings
    assert warning.code == "file_refused"
    return warning.message


async def test_a_file_is_read_with_its_path_from_the_workspace_and_its_digest(reader: FileReader) -> None:
    reading = await reader.read(["a.py"])
    (attachment,) = reading.attachments
    assert (attachment.path, attachment.kind, attachment.content) == ("a.py", "text", "print('a')\n")
    assert len(attachment.digest) == 64
    assert reading.warnings == []


async def test_nothing_named_is_nothing_read(reader: FileReader) -> None:
    assert (await reader.read([])).attachments == []


async def test_a_file_named_in_several_ways_is_sent_once(reader: FileReader, workspace: Path) -> None:
    reading = await reader.read(["a.py", "./a.py", "a.py", str(workspace / "a.py"), "sub/../a.py"])
    assert [attachment.path for attachment in reading.attachments] == ["a.py"]


async def test_a_file_of_another_root_is_shown_below_that_roots_name(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "lib" / "deep" / "b.py").write_text("b")
    reading = await FileReader(workspace, [workspace, tmp_path / "lib"]).read([str(tmp_path / "lib/deep/b.py")])
    assert [attachment.path for attachment in reading.attachments] == ["lib/deep/b.py"]


async def test_a_link_within_the_workspace_is_followed(reader: FileReader, workspace: Path) -> None:
    (workspace / "link.py").symlink_to("a.py")
    (workspace / "folder").mkdir()
    (workspace / "folder" / "up").symlink_to("..")
    reading = await reader.read(["link.py", "folder/up/a.py"])
    assert [attachment.path for attachment in reading.attachments] == ["a.py"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("caf\u00e9".encode(), "caf\u00e9"),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "caf\u00e9"),
        ("caf\u00e9".encode("utf-16"), "caf\u00e9"),
        (b"\xfe\xff" + "caf\u00e9".encode("utf-16-be"), "caf\u00e9"),
        ("caf\u00e9".encode("utf-32"), "caf\u00e9"),
        (b"", ""),
    ],
)
async def test_text_says_its_encoding_by_a_mark_or_is_utf_8(reader: FileReader, workspace: Path, content: bytes, text: str) -> None:
    (workspace / "t.txt").write_bytes(content)
    assert [attachment.content for attachment in (await reader.read(["t.txt"])).attachments] == [text]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"caf\xe9", "is not UTF-8 text"),
        (b"\xff\xfea", "is not UTF-8 text"),
        (b"a\x00b", "is a binary file"),
        ("a\x00b".encode("utf-16"), "is a binary file"),
        (PNG, "is an image; name it in images"),
    ],
)
async def test_what_is_not_text_is_refused(reader: FileReader, workspace: Path, content: bytes, reason: str) -> None:
    (workspace / "t.txt").write_bytes(content)
    assert refusal(await reader.read(["t.txt"])) == f"'t.txt' {reason}; it was not sent."


@pytest.mark.parametrize(
    "name",
    [
        ".env", ".env.local", ".ENV", "prod.env", "id_rsa", "id_ed25519.pub", "server.pem", "tls.key", ".netrc", ".pypirc",
        "credentials.json", "my-credentials-2.json", "service-account-x.json", "client_secret_1.json", ".git-credentials",
        ".ssh/config", ".aws/config", ".git/config", "sub/.git/HEAD", "secrets.yaml", ".kube/config",
    ],
)  # fmt: skip
async def test_keys_credentials_and_gits_data_are_refused_by_their_names(reader: FileReader, workspace: Path, name: str) -> None:
    path = workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("planted-secret")
    message = refusal(await reader.read([name]))
    assert name in message
    assert "planted-secret" not in message


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", f"before\n{KEY}", "holds a private key"),
        ("notes16.txt", KEY.encode("utf-16"), "holds a private key"),
        ("pgp.txt", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + "A" * 64, "holds a private key"),
        ("sa.json", '{"type": "service_account", "private_key": "x"}', "holds Google credentials"),
        ("adc.json", '{"type":"authorized_user","refresh_token":"x"}', "holds Google credentials"),
        (".npmrc", "//registry/:_authToken=npm_x", "holds an npm token"),
    ],
)
async def test_secrets_are_refused_by_what_is_in_them(
    reader: FileReader, workspace: Path, name: str, content: str | bytes, reason: str
) -> None:
    (workspace / name).write_bytes(content.encode() if isinstance(content, str) else content)
    assert refusal(await reader.read([name])) == f"'{name}' {reason}; it was not sent."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".npmrc", "save-exact=true\n//registry/:_authToken=${NPM_TOKEN}\n"),
        ("keys.py", 'MARK = "-----BEGIN PRIVATE KEY-----"\n'),
        ("types.json", '{"type": "service_account"}'),
        (".github/workflow.yml", "on: push"),
        ("keyboard.py", ""),
        ("environment.py", ""),
    ],
)
async def test_what_only_resembles_a_secret_is_read(reader: FileReader, workspace: Path, name: str, content: str) -> None:
    (workspace / name).parent.mkdir(exist_ok=True)
    (workspace / name).write_text(content)
    assert (await reader.read([name])).warnings == []


@pytest.mark.parametrize("name", ["../outside.txt", "link.txt", "folder/outside.txt", "nowhere/../../outside.txt"])
async def test_ways_out_of_the_workspace_are_refused(reader: FileReader, workspace: Path, name: str) -> None:
    (workspace.parent / "outside.txt").write_text("planted-secret")
    (workspace / "link.txt").symlink_to("../outside.txt")
    (workspace / "folder").symlink_to("..")
    assert refusal(await reader.read([name])) == f"'{name}' is outside the workspace; it was not sent."


async def test_a_link_to_a_key_inside_the_workspace_is_refused(reader: FileReader, workspace: Path) -> None:
    (workspace / ".env").write_text("planted-secret")
    (workspace / "harmless.txt").symlink_to(".env")
    assert "looks like keys" in refusal(await reader.read(["harmless.txt"]))


@pytest.mark.parametrize("path", ["/proc/self/environ", "/sys/kernel/notes", "/dev/zero", "/PROC/self/environ"])
@pytest.mark.parametrize("root", ["/", "work"])
async def test_the_systems_files_are_refused_even_with_everything_as_the_root(workspace: Path, path: str, root: str) -> None:
    reader = FileReader(workspace, [Path("/")] if root == "/" else [])
    assert "belongs to the system" in refusal(await reader.read([path]))


async def test_the_whole_disk_may_be_a_root(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "far.txt").write_text("far")
    (attachment,) = (await FileReader(workspace, [Path("/")]).read([str(tmp_path / "far.txt")])).attachments
    assert attachment.content == "far"


async def test_where_the_workspace_itself_lies_is_the_users_choice(tmp_path: Path) -> None:
    (tmp_path / ".docker" / "project").mkdir(parents=True)
    (tmp_path / ".docker" / "project" / "a.txt").write_text("a")
    assert (await FileReader(tmp_path / ".docker" / "project").read(["a.txt"])).warnings == []


async def test_what_is_no_regular_file_is_refused_without_being_opened(reader: FileReader, workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    (workspace / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(workspace)
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        reading = await asyncio.wait_for(reader.read(["pipe", "socket", "folder", ".", "loop", "none.txt", "a.py/x", "n" * 300]), 5)
    (workspace / "loop").symlink_to("loop")
    assert [warning.message.partition(";")[0] for warning in reading.warnings[:7]] == [
        "'pipe' is not a regular file",
        "'socket' is not a regular file",
        "'folder' is a folder",
        "'.' is a folder",
        "'loop' does not exist",
        "'none.txt' does not exist",
        "'a.py/x' does not exist",
    ]
    assert reading.warnings[7].message.endswith("has too long a name; it was not sent.")
    assert "changed while it was being opened, or links to itself" in refusal(await reader.read(["loop"]))


@pytest.mark.parametrize("name", ["", "  ", "a\x00b"])
async def test_what_is_no_path_is_refused(reader: FileReader, name: str) -> None:
    assert "is not a path" in refusal(await reader.read([name]))


async def test_a_file_that_may_not_be_read_is_refused(workspace: Path, reader: FileReader, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read everything, so the system's answer is given for it.
    def denied(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    reading = reader.read_now(["a.py"])
    monkeypatch.undo()
    assert "'a.py' may not be read" in refusal(reading)


async def test_a_file_over_the_limit_is_refused_before_it_is_read(workspace: Path) -> None:
    with (workspace / "huge.txt").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of hole: reading it would not end
    reading = await FileReader(workspace).read(["huge.txt"])
    assert refusal(reading) == "'huge.txt' is larger than 1,000,000 bytes; it was not sent."


async def test_a_file_that_grows_while_it_is_read_stays_within_the_limit(workspace: Path) -> None:
    # A file of /proc says it is empty and is not, which is what a growing file looks like.
    reader = FileReader(workspace, limits=Limits(max_file_bytes=4))
    place = reader.resolve("a.py")
    with pytest.raises(Refused, match="larger than 4 bytes"):
        reader.take(Place(Path("/proc/self"), ("status",), place.shown), 4)


async def test_files_of_the_same_name_below_different_roots_are_all_sent(workspace: Path, tmp_path: Path) -> None:
    roots = [workspace, tmp_path / "one" / "src", tmp_path / "two" / "src"]
    (workspace / "src").mkdir()
    for folder in (workspace / "src", *roots[1:]):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "x.py").write_text(f"# {folder}\n")
    named = [str(folder / "x.py") for folder in (workspace / "src", *roots[1:])]
    reading = await FileReader(workspace, roots).read([*named, *named])
    assert [attachment.path for attachment in reading.attachments] == ["src/x.py", "src-2/x.py", "src-3/x.py"]
    assert (len({attachment.digest for attachment in reading.attachments}), reading.warnings) == (3, [])


async def test_files_of_one_call_are_bounded_together_and_in_number(workspace: Path) -> None:
    for name in ("b.txt", "c.txt"):
        (workspace / name).write_text("x" * 60)
    reading = await FileReader(workspace, limits=Limits(max_total_file_bytes=100, max_files=3)).read(["b.txt", "c.txt", "a.py", "d.txt"])
    assert [attachment.path for attachment in reading.attachments] == ["b.txt", "a.py"]
    assert [warning.message for warning in reading.warnings] == [
        "'c.txt' is beyond what the files of one call may hold together; it was not sent.",
        "'d.txt' is one too many: a call takes 3; it was not sent.",
    ]


async def test_of_many_files_too_many_the_first_is_named_and_the_others_are_counted(workspace: Path) -> None:
    reader = FileReader(workspace, limits=Limits(max_files=1, max_images=1))
    reading = await reader.read(["a.py", *(f"more{n}.py" for n in range(2_000))], ["x.png", "y.png", "z.png"])
    assert [attachment.path for attachment in reading.attachments] == ["a.py"]
    assert [warning.message for warning in reading.warnings] == [
        "'more0.py' and 1,999 more after it are too many: a call takes 1; they were not sent.",
        "'x.png' does not exist; it was not sent.",
        "'y.png' and 1 more after it are too many: a call takes 1; they were not sent.",
    ]


def test_a_folder_exchanged_for_a_link_after_the_check_gets_nothing_out(workspace: Path, reader: FileReader) -> None:
    (workspace / "sub").mkdir()
    (workspace / "sub" / "a.txt").write_text("a")
    (workspace.parent / "outside").mkdir()
    (workspace.parent / "outside" / "a.txt").write_text("planted-secret")
    place = reader.resolve("sub/a.txt")
    (workspace / "sub").rename(workspace / "gone")
    (workspace / "sub").symlink_to("../outside")
    with pytest.raises(Refused, match=r"^does not exist$|^changed "):
        reader.take(place, 1000)


@pytest.mark.parametrize("target", ["../outside.txt", "a.py"])
def test_a_file_exchanged_for_a_link_after_the_check_gets_nothing_out(workspace: Path, reader: FileReader, target: str) -> None:
    (workspace.parent / "outside.txt").write_text("planted-secret")
    (workspace / "b.txt").write_text("b")
    place = reader.resolve("b.txt")
    (workspace / "b.txt").unlink()
    (workspace / "b.txt").symlink_to(target)
    with pytest.raises(Refused, match="changed"):
        reader.take(place, 1000)


def test_a_link_exchanged_for_a_file_while_it_is_resolved_is_refused(
    workspace: Path, reader: FileReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exchanged(*_: object, **__: object) -> str:
        raise OSError(22, "Invalid argument")

    (workspace / "link.py").symlink_to("a.py")
    monkeypatch.setattr(os, "readlink", exchanged)
    assert "changed while it was being opened" in refusal(reader.read_now(["link.py"]))


def test_a_file_exchanged_for_a_pipe_after_it_was_looked_at_is_not_read(
    workspace: Path, reader: FileReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = reader.resolve("a.py")
    before = os.stat(workspace / "a.py")
    (workspace / "a.py").unlink()
    os.mkfifo(workspace / "a.py")
    monkeypatch.setattr(os, "stat", lambda *_, **__: before)
    with pytest.raises(Refused, match="is not a regular file"):
        reader.take(place, 1000)


def test_a_thousand_exchanges_while_reading_get_nothing_out(workspace: Path, reader: FileReader) -> None:
    (workspace.parent / "outside.txt").write_text("planted-secret")
    stop = threading.Event()

    def exchange() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            if number % 2:
                (workspace / "new").symlink_to("../outside.txt")
            else:
                (workspace / "new").write_text("harmless")
            (workspace / "new").replace(workspace / "swapped.txt")

    thread = threading.Thread(target=exchange)
    thread.start()
    contents: set[str] = set()
    refused = readings = 0
    try:
        while readings < 1000 or ((not contents or not refused) and readings < 100_000):
            readings += 1
            reading = reader.read_now(["swapped.txt"])
            contents |= {attachment.content for attachment in reading.attachments}
            refused += len(reading.warnings)
    finally:
        stop.set()
        thread.join()
    assert contents == {"harmless"} and refused


async def test_a_refusal_names_the_file_as_it_was_written_without_the_home_folder(reader: FileReader) -> None:
    message = refusal(await reader.read(["/home/someone/x\n.txt"]))
    assert message == "'~/x\ufffd.txt' is outside the workspace; it was not sent."


async def test_a_name_that_is_no_utf_8_is_shown_with_what_can_be_shown(reader: FileReader, workspace: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.txt")
    try:
        (workspace / odd).write_text("odd")
    except OSError:  # a file system that takes only UTF-8 names has no such file
        return
    (workspace / "plain.txt").symlink_to(odd)
    assert [attachment.path for attachment in (await reader.read(["plain.txt"])).attachments] == ["caf\ufffd.txt"]


# --- images ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"GIF87a....", "image/gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
async def test_an_image_is_known_by_its_first_bytes(reader: FileReader, workspace: Path, content: bytes, media_type: str) -> None:
    (workspace / "shot.dat").write_bytes(content)
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    for named, path in (("shot.dat", "shot.dat"), (url, None)):
        (attachment,) = (await reader.read([], [named])).attachments
        assert (attachment.kind, attachment.media_type) == ("image", media_type)
        assert base64.b64decode(attachment.content) == content
        assert attachment.path == (path or f"image-{attachment.digest[:8]}")


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("a.py", "'a.py' is not a PNG, JPEG, GIF or WebP image"),
        ("https://example.test/x.png", "'https://example.test/x.png' is a URL; nothing is fetched from the network"),
        ("file:///etc/passwd", "'file:///etc/passwd' is a URL; nothing is fetched from the network"),
        ("data:image/png,abc", "an image given as a data URL is not a base64 data URL"),
        ("data:image/png;base64,%%%", "an image given as a data URL is not valid base64"),
        ("data:image/png;base64,YWJj", "an image given as a data URL is not a PNG, JPEG, GIF or WebP image"),
        ("DATA:image/png;base64," + "A" * 400, "an image given as a data URL is larger than 100 bytes"),
        ("big.png", "'big.png' is larger than 100 bytes"),
    ],
)
async def test_what_is_no_image_in_the_limits_is_refused(workspace: Path, named: str, reason: str) -> None:
    (workspace / "big.png").write_bytes(PNG + b"x" * 100)
    reading = await FileReader(workspace, limits=Limits(max_image_bytes=100)).read([], [named])
    assert refusal(reading) == f"{reason}; it was not sent."


async def test_the_same_image_twice_is_sent_once(reader: FileReader, workspace: Path) -> None:
    (workspace / "one.png").write_bytes(PNG)
    (workspace / "two.png").write_bytes(PNG)
    assert len((await reader.read([], ["one.png", "two.png"])).attachments) == 1


async def test_refused_files_do_not_keep_the_others_from_being_read(reader: FileReader) -> None:
    reading = await reader.read(["none.txt", "a.py"], ["none.png"])
    assert [attachment.path for attachment in reading.attachments] == ["a.py"]
    assert [type(warning) for warning in reading.warnings] == [Warned, Warned]
