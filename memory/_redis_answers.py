"""What the scripts on a thread in Redis answer: a word first, and ours for what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conversation.errors import ThreadConflict, ThreadExpired, ThreadNotFound


def checked(answer: Sequence[Any]) -> Sequence[Any]:
    """Return what a script answered. Raises what it says is wrong."""
    match answer[0]:
        case "gone":
            raise gone(answer)
        case "conflict":
            raise ThreadConflict(f"The thread stands at turn {answer[1]}, not at the turn that was expected.")
        case "unknown":
            raise ThreadNotFound("The exchange is not there: its thread was deleted or has expired.")
        case "waiting":
            raise ThreadConflict(f"Another exchange is pending on the thread, which will not stay at turn {answer[1]}.")
        case "interrupted":
            raise ThreadConflict("The exchange was interrupted before its answer came.")
        case _:
            return answer


def gone(answer: Sequence[Any]) -> ThreadNotFound | ThreadExpired:
    """Return the error for a thread that is not there."""
    match answer[1]:
        case "expired":
            return ThreadExpired("The thread has expired.")
        case "deleted":
            return ThreadNotFound("The thread has been deleted.")
        case _:
            return ThreadNotFound("There is no thread with this continuation_id.")
