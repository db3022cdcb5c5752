"""Words of messages."""


def counted(count: int, noun: str) -> str:
    """A number of things, whose plural is regular: "1 image", "2 boxes", "3 classes"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith(('s', 'x', 'ch')) else 's'}"
