"""The second half of the demo: a panel of three of which one fails, a review of code with known faults, and a chat that knows both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator import ThreadedSimulator

JUDGE = "openrouter/openai/gpt-4.1"
PANEL = ("vertex_claude/claude-sonnet-4-6", "vertex_gemini/gemini-3.1-pro-preview", "github_models/openai/gpt-4.1")
REVIEWERS = PANEL[:2]

SHOP: Mapping[str, str] = {
    "orders.py": '''"""Orders of the shop."""

import sqlite3


def of_customer(db: sqlite3.Connection, name: str) -> list[tuple]:
    query = f"SELECT id, total FROM orders WHERE customer = '{name}'"
    return db.execute(query).fetchall()


def newest(orders: list[tuple]) -> tuple:
    return orders[len(orders)]
''',
    "mail.py": '''"""Mails to customers."""

import smtplib


def send(server: smtplib.SMTP, to: str, text: str) -> bool:
    try:
        server.sendmail("shop@example.invalid", to, text)
    except Exception:
        pass
    return True
''',
}
SEEDED = {("shop/orders.py", 7), ("shop/orders.py", 12), ("shop/mail.py", 9)}
"""The faults that are in it on purpose: file and line."""

INJECTION = {
    "severity": "critical",
    "file": "shop/orders.py",
    "line": 3,  # wrong: the quote stands in line 7
    "quote": "query = f\"SELECT id, total FROM orders WHERE customer = '{name}'\"",
    "title": "SQL injection through the customer's name",
    "detail": "A name with a quote in it ends the literal and goes on as SQL.",
    "suggestion": 'db.execute("... WHERE customer = ?", (name,))',
}
PAST_THE_END = {
    "severity": "high",
    "file": "orders.py",
    "line": 12,
    "quote": "return  orders[ len(orders) ]",
    "title": "Index is always out of range",
    "detail": "The last index is len(orders) - 1.",
    "suggestion": "orders[-1]",
}
SWALLOWED = {
    "severity": "high",
    "file": "shop/mail.py",
    "line": 9,
    "quote": "except Exception:\n        pass",
    "title": "A mail that was not sent is reported as sent",
    "detail": "Every error is swallowed and True is returned.",
    "suggestion": "return False, or let smtplib.SMTPException through",
}
FALSE_ALARM = {
    "severity": "medium",
    "file": "shop/mail.py",
    "line": 6,
    "quote": "def send(server: smtplib.SMTP, to: str, text: str) -> bool:",
    "title": "The connection is never opened",
    "detail": "send uses a server nobody connected.",
}
INVENTED = {**FALSE_ALARM, "file": "shop/payment.py", "quote": "charge(card)", "title": "Cards are charged twice"}

AGREED = "Jobs belong into the database."
OUTCOME = {
    "agreements": [
        {"text": AGREED, "held_by": ["A", "B"], "quotes": ["Keep the jobs in PostgreSQL", "PostgreSQL holds the jobs"]},
        {"text": "Everybody wants Kafka.", "held_by": ["A", "B"], "quotes": ["Kafka is what we need"]},
    ],
    "disagreements": [
        {
            "text": "How workers learn of a job.",
            "sides": [
                {"position": "by notification", "held_by": ["A"], "quote": "wake the workers with NOTIFY"},
                {"position": "by polling", "held_by": ["B"], "quote": "polling once a second is enough"},
            ],
        }
    ],
    "recommendation": "Keep jobs in PostgreSQL and start with polling. (simulated)",
    "confidence": "medium",
    "confidence_reason": "Two of three answered. (simulated)",
}


def script(sim: ThreadedSimulator) -> None:
    """Give the simulated models their lines."""
    both = 'The panel said "{quote:Recommendation: ([^.]+)}", and the review found "{quote:(SQL injection[^(]+) \\(}". (simulated)'
    sim.rule("vertex_gemini", both, match_last_user="What did both")
    sim.rule("*", json.dumps({"verdict": "refuted", "reason": "The caller hands in an open connection. (simulated)"}), match="never opened")
    sim.rule("*", json.dumps({"verdict": "confirmed", "reason": "It happens as told. (simulated)"}), match="Another reviewer reports")
    sim.rule("openrouter", json.dumps(OUTCOME), match="Several models were asked")
    sim.rule("vertex_claude", json.dumps({"issues": [INJECTION, FALSE_ALARM, SWALLOWED]}), match="Review the code above")
    sim.rule("vertex_gemini", json.dumps({"issues": [PAST_THE_END, INJECTION, INVENTED]}), match="Review the code above")
    sim.rule("vertex_claude", "Keep the jobs in PostgreSQL, wake the workers with NOTIFY. (simulated)", match_last_user="Queue or broker")
    sim.rule("vertex_gemini", "PostgreSQL holds the jobs; polling once a second is enough. (simulated)", match_last_user="Queue or broker")


def write_shop(folder: Path) -> None:
    """Write the little project with its seeded faults."""
    (folder / "shop").mkdir()
    for name, text in SHOP.items():
        (folder / "shop" / name).write_text(text, encoding="utf-8")


def show_panel(answer: Mapping[str, Any]) -> None:
    """Print who said what, and what it comes to."""
    for one in answer["answers"]:
        _line(f"{one['provider']}/{one['model']}", one["content"])
    for one in answer["failed"]:
        _line(f"{one['provider']}/{one['model']}", f"[no answer: {one['code']}]")
    for one in answer["agreements"]:
        _line("agreed", f"{one['text']} ({', '.join(one['held_by'])})")
    for one in answer["disagreements"]:
        _line("disputed", f"{one['text']} {'; '.join(side['position'] + ': ' + ', '.join(side['held_by']) for side in one['sides'])}")
    _line("recommendation", f"{answer['recommendation']} [confidence {answer['confidence']}: {answer['confidence_reason']}]")
    _warned(answer)


def show_review(answer: Mapping[str, Any]) -> None:
    """Print each finding with its place, and those that were refuted."""
    for one in (*answer["issues"], *answer["refuted"]):
        found = f"found by {', '.join(one['found_by'])}"
        _line(f"{one['file']}:{one['line']}", f"[{one['severity']}, {one['verdict']}] {one['title']} ({found})")
    _warned(answer)


def _warned(answer: Mapping[str, Any]) -> None:
    for one in answer["warnings"]:
        _line("warning", f"{one['code']}: {one['message']}")


def _line(who: str, text: str) -> None:
    print(f"  {who:<42} {text}", flush=True)


def checks(panel: Mapping[str, Any], review: Mapping[str, Any], chat: Mapping[str, Any]) -> dict[str, bool]:
    """Return what the second half has to show, and whether it did."""
    found = {(one["file"], one["line"]) for one in review["issues"]}
    return {
        "two of three models answered the panel, and the third is listed": len(panel["answers"]) == 2 and len(panel["failed"]) == 1,
        "a statement nobody made was dropped from the outcome": [one["text"] for one in panel["agreements"]] == [AGREED],
        "the review found the seeded faults at their lines": found == SEEDED,
        "a false alarm was refuted and an invented file dropped": len(review["refuted"]) == 1 and "dropped: 1" in str(review["warnings"]),
        "a later chat quoted the panel and the review": "start with polling" in chat["content"] and "customer's name" in chat["content"],
    }
