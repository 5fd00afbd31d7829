"""The one error family of the embedded stack: a sentence for the operator and what to do about it."""


class StackError(Exception):
    """Something of the local stack cannot be done; `remedy` says how the operator mends it."""

    def __init__(self, sentence: str, *, remedy: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
