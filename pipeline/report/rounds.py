"""The table of rounds of pseudo-labels, as the terminal and the page show it."""

from pipeline.core.summary import RoundGain
from pipeline.report.page import number_text
from pipeline.report.wording import span

COLUMNS = ("round", "member", "score", "gain", "better", "90% interval", "blends")


def round_rows(rounds: list[RoundGain], num_folds: int) -> list[list[str]]:
    """Cells of each round: its score, the gain over the one before (above 0 is better), the
    probability that it is one, its interval, and how many folds' blends take the member."""
    return [
        [
            str(entry.round),
            entry.member,
            f"{entry.score:.4f}",
            f"{entry.gain:+.4f}" if entry.gain is not None else "–",
            number_text(entry.probability, digits=2),
            span(entry.low, entry.high, sign="+") if entry.gain is not None else "–",
            f"{entry.blends} of {num_folds}",
        ]
        for entry in rounds
    ]
