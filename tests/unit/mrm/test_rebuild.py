"""What `mrm rebuild` tells of each situation."""

import io

from rich.console import Console

from mrm.rebuild import table_of


def test_the_table_counts_facts_replayed_and_facts_compared() -> None:
    refused = {"situation": "XAA", "state": "refused", "replayed": 812, "compared": 400, "difference": {"table": "postings"}}
    shown = Console(file=io.StringIO(), width=200)
    shown.print(table_of([refused]))
    text = shown.file.getvalue()
    assert [" ".join(line.split()) for line in text.splitlines() if "Facts" in line] == [
        "┃ Situation ┃ Outcome ┃ Facts replayed ┃ Facts compared ┃ First difference ┃"
    ]
    assert "Rows" not in text
    shown_row = [part.strip() for part in text.splitlines()[4].strip("│").split("│")]
    assert shown_row == ["XAA", "refused", "812", "400", "{'table': 'postings'}"]
