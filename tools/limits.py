"""How much a call may bring in and give out."""

from __future__ import annotations

from conversation.messages import Frozen


class Limits(Frozen):
    """Bytes are of UTF-8 text or of the file; tokens are estimates of conversation.window.

    An answer stays under 20,000 tokens because Claude Code puts a tool's output of more than 25,000 into a file.
    """

    max_prompt_bytes: int = 1_000_000
    max_answer_tokens: int = 20_000
    max_window_tokens: int | None = None
    """At most so much of a thread is sent, whatever the model takes (`[threads] max_tokens`)."""
    default_output_tokens: int = 16_384
    """Asked of a model when the caller names no number; reasoning models get twice that, since thinking counts."""
    max_memory_tokens: int = 2_000
    """Of what is remembered, in one request."""
    max_files: int = 50
    max_file_bytes: int = 1_000_000
    max_total_file_bytes: int = 4_000_000
    """Of one call: about what the largest windows hold."""
    max_review_files: int = 5_000
    """Of one review of folders; what lies beyond is left out, and said to be."""
    max_diff_bytes: int = 16_000_000
    git_seconds: float = 30.0
    """How long git may take over one diff."""
    max_review_tokens: int = 600_000
    """Of code, in one review by one reviewer; what is beyond is named as left out."""
    review_part_tokens: int = 24_000
    """Of code, in one request: models miss more in longer ones."""
    review_parallel: int = 8
    """Requests of one review at a time."""
    max_verified: int = 50
    """Findings of one review that another model checks, the worst first."""
    max_images: int = 20
    max_image_bytes: int = 5_000_000
    max_listed_models: int = 25
    """Models listmodels shows of each provider when no provider is named."""
    interrupt_seconds: float = 2.0
    """How long a cancelled call may take to note that in the store."""
    progress_seconds: float = 1.0
    """Progress begins after this and repeats at this distance, five times as far apart from the sixth report on."""
