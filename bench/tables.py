"""Tables in Markdown, and how figures are written in them; what was not measured is a dash."""


def markdown(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def times(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def mib(value):
    return "–" if value is None else f"{value / 1024 / 1024:.1f}"


def thousands(value):
    """With spaces that do not break."""
    return "–" if value is None else f"{round(value):,}".replace(",", "\u00a0")
