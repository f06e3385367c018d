"""What a review comes to, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tools.bounds import cut
from tools.reviewing.reviewers import Reviewed
from tools.reviewing.written import SEVERITIES, Severity

_MOST_SAID = 20
_MOST_WORDS = 300


def summary(done: Reviewed, issues: Sequence[Severity], refuted: int, milder: int, severity_filter: Severity | None) -> str:
    """Say how it went: counts first, then what reviewers said in words. `issues` are the severities of what stands."""
    files = len(done.whole_files)
    where = f"{files} file{'s' if files != 1 else ''} reviewed by {', '.join(sorted(done.names))}"
    if issues:
        counts = Counter(issues)
        told = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])
        lines = [f"{len(issues)} issue{'s' if len(issues) > 1 else ''} ({told}) in {where}."]
    else:
        lines = [_without_issues(done, where)]
    lines += [f"{refuted} more were refuted."] if refuted else []
    lines += [f"{milder} below {severity_filter} left out."] if milder else []
    lines += [f"{len(done.skipped)} left out, see skipped."] if done.skipped else []
    return "\n\n".join([" ".join(lines), *_said(done), *(f"{name} said: {words}" for name, words in done.prose)])


def _without_issues(done: Reviewed, where: str) -> str:
    """Say that there are no issues, but only when that is what reviewers said of all they were shown."""
    dropped = done.dropped.total()
    if done.prose:
        return f"No issue could be read from the answers on {where}."
    if dropped:
        return f"No finding stands in {where}: {dropped} {'was' if dropped == 1 else 'were'} dropped, as no such file or code was shown."
    if done.unfinished or not done.whole_files:
        return f"Not everything was reviewed, and no issue reported, in {where}."
    return f"No issues found in {where}."


def _said(done: Reviewed) -> list[str]:
    """What reviewers said beside their findings: of one part as it is, of several shortened and with the files it is about."""
    if done.parts == 1:
        return [words for _, words in done.summaries]
    said = [f"Of {files}: {cut(' '.join(words.split()), _MOST_WORDS)}" for files, words in done.summaries[:_MOST_SAID]]
    more = len(done.summaries) - _MOST_SAID
    return [*said, f"{more} more parts were summed up."] if more > 0 else said
