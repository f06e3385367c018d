"""Letters of a panel's seats, replaced by who sits there: in what is handed on, nobody knows which answer was A or B.

Only where it is plain that a letter means an answer: as [B], after a word such as `answer`; and, where neither the question nor an
answer uses the letter by itself (option B, the language C), also as the owner of something (B's), after a word such as `follow`, before
one such as `argues`, and in a row of such letters (A, B and C). What stands in quotes or code is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`]*`|\"[^\"]*(?:\"|\Z)|\u201c[^\u201d]*(?:\u201d|\Z)"
    r"|(?<!\w)['\u2018](?:[^'\u2019\n]|['\u2019](?=\w)){0,120}['\u2019](?!\w)",
    re.DOTALL,
)
_LETTER = r"[A-H](?![\w'\u2019/+#&-])"
_OWNER = r"[A-H](?=['\u2019]s\b)"
_ROW = rf"{_LETTER}(?:(?:,\s+(?:and\s+|or\s+)?|\s+(?:and|or|vs\.?|versus)\s+){_LETTER})"
_CALLED = re.compile(
    rf"\[(?P<bare>[A-H])\]|(?P<word>\b(?i:answers?|panelists?|seats?|respondents?)\s+)(?P<row>(?:{_ROW}+|{_LETTER}|{_OWNER}))"
)
_USED_FOR = r"option|plan|choice|variant|case|type|class|grade|phase|step|point|part|section|table|column|team|tier|level|group"
_FREE = re.compile(
    rf"(?<![\w/&.'\u2019-])(?:"
    rf"(?P<row>{_ROW}+)"
    rf"|(?P<owner>{_OWNER})"
    rf"|(?P<before>\b(?i:follow|prefer|adopt|trust|with|by|from|than|per|see|unlike|both|neither|only)\s+)(?P<after>{_LETTER})"
    rf"|(?P<subject>[A-H](?=\s+(?:and\s+others\s+)?(?:alone\s+)?(?:says?|said|argues?|holds?|claims?|prefers?|dissents?|(?:dis)?agrees?|"
    rf"wants?|names?|warns?|objects?|recommends?|proposes?|thinks?|adds?|concedes?|gives?|makes?|insists?|suggests?)\b)))"
)
_ONE = re.compile(r"(?<![\w'\u2019])[A-H](?!\w)")
_OTHER_KIND = re.compile(rf"\b(?i:{_USED_FOR})(?:e?s)?\s+\Z")


def with_names(text: str, names: Mapping[str, str], used: Iterable[str]) -> str:
    """Return the text with letters replaced by the `names` of their holders; `used` are question and answers."""
    safe = {letter: name for letter, name in names.items() if not any(_uses(words, letter) for words in used)}
    parts: list[str] = []
    at = 0
    for quoted in _QUOTED.finditer(text):
        parts += [_replaced(text[at : quoted.start()], names, safe), quoted[0]]
        at = quoted.end()
    return "".join([*parts, _replaced(text[at:], names, safe)])


def _uses(words: str, letter: str) -> bool:
    """Tell whether a text uses a letter by itself. A at the start of a sentence is an article."""
    before = r"(?<=[a-z,] )" if letter == "A" else r"(?<![\w'\u2019\[])"
    return re.search(rf"{before}{letter}(?![\w'\u2019])", words) is not None


def _replaced(text: str, names: Mapping[str, str], safe: Mapping[str, str]) -> str:
    def called(found: re.Match[str]) -> str:
        if found["bare"]:
            return names.get(found["bare"], found[0])
        return _named(found["row"], names) if set(_ONE.findall(found["row"])) <= names.keys() else found[0]

    def free(found: re.Match[str]) -> str:
        letters = set(_ONE.findall(found[0]))
        if not letters <= safe.keys() or _OTHER_KIND.search(text_before(found)):
            return found[0]
        return _named(found[0], safe)

    def text_before(found: re.Match[str]) -> str:
        return found.string[max(0, found.start() - 20) : found.start()]

    return _FREE.sub(free, _CALLED.sub(called, text))


def _named(words: str, names: Mapping[str, str]) -> str:
    return _ONE.sub(lambda one: names[one[0]], words)
