"""What nobody wants reviewed: folders that hold no source of the project, and files that programs wrote."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

_FOLDERS = frozenset(
    {
        "node_modules", "bower_components", "jspm_packages", ".yarn", ".pnpm-store",
        ".venv", "venv", "site-packages", "__pycache__", "__pypackages__", ".eggs",
        ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints",
        "dist", "build", "target", "out", "coverage", "htmlcov", ".nyc_output",
        ".next", ".nuxt", ".svelte-kit", ".turbo", ".parcel-cache", ".cache", ".gradle", ".terraform", ".dart_tool",
        "deriveddata", "pods", ".hg", ".svn", ".bzr", ".jj",
    }
)  # fmt: skip
_LOCKS = (
    "*.lock", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "bun.lockb", "go.sum", "packages.lock.json", "package.resolved",
    "*.lockfile", ".terraform.lock.hcl", "deno.lock", "requirements*.lock",
)  # fmt: skip
_GENERATED = (
    "*.min.js", "*.min.mjs", "*.min.css", "*.map", "*.bundle.js", "*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*.pb.go", "*.pb.cc", "*.pb.h",
    "*.g.dart", "*.freezed.dart", "*.designer.cs", "*.generated.*", "*.snap",
)  # fmt: skip
# The line Go's tools agree on (https://go.dev/s/generatedcode), and the word Meta's and others' agree on, both in a comment.
_MARK = re.compile(r"^\W{1,8}(?:Code generated .* DO NOT EDIT|.{0,40}@generated\b)", re.MULTILINE)
_HEAD = 2_000
_LONG_LINE = 2_000  # the mean over a whole file; minifiers write lines of tens of thousands


def unwanted_folder(name: str) -> str | None:
    """Return why a folder of this name is left out of a walk, None when it is not."""
    return "is a folder of dependencies, caches or build results" if name.lower() in _FOLDERS else None


def unwanted_file(name: str) -> str | None:
    """Return why a file of this name is left out unless it is named, None when it is not."""
    lower = name.lower()
    if any(fnmatchcase(lower, pattern) for pattern in _LOCKS):
        return "is a lock file"
    if any(fnmatchcase(lower, pattern) for pattern in _GENERATED):
        return "is generated or minified"
    return None


def unwanted_text(text: str) -> str | None:
    """Return why a file with this text is left out unless it is named, None when it is not."""
    if _MARK.search(text, 0, _HEAD):
        return "says that it is generated"
    if len(text) > 4 * _LONG_LINE and len(text) // (text.count("\n") + 1) > _LONG_LINE:
        return "is generated or minified"
    return None
