"""The table of outboxrelay top: its columns, its summary, and the colours of what needs a look. Pure."""

from collections.abc import Sequence

from outboxrelay.cli.columns import GAP, Column, layout, lines
from outboxrelay.cli.options import counted
from outboxrelay.cli.styled import Line, Span
from outboxrelay.decisions.backlog import lag_display
from outboxrelay.decisions.fleet import Health, Row, Totals, count_display

STYLES = {Health.FAILING: "bold red", Health.UNKNOWN: "yellow", Health.OFF: "dim", Health.WELL: "green"}
STATE, INCIDENTS, POISON, LAG = "STATE", "INC", "POISON", "LAG"
_NAMESPACE = Column("NAMESPACE", keep=4, least=9)
_COLUMNS = (
    Column("NAME", keep=0, least=18),
    Column(STATE, keep=1, least=14),
    Column(LAG, keep=2, number=True),
    Column("BACKLOG", keep=3, number=True),
    Column("OUT/S", keep=6, number=True),
    Column("IN/S", keep=8, number=True),
    Column("PODS", keep=7, number=True),
    Column(INCIDENTS, keep=5, number=True),
    Column(POISON, keep=9, number=True),
)
_WIDE = (Column("TABLE", keep=11, least=12), Column("TOPIC", keep=12, least=12))
_MESSAGE = Column("MESSAGE", keep=13, sentence=True)


def table(rows: Sequence[Row], *, width: int | None, namespaces: bool, wide: bool, shown: slice) -> list[Line]:
    """The head, and the rows ``shown`` of all, each at most ``width`` characters; None: as wide as they are.

    Widths follow all rows, so that nothing moves when one scrolls.
    """
    columns = [*([_NAMESPACE] if namespaces else []), *_COLUMNS, *(_WIDE if wide else ()), _MESSAGE]
    cells = [_cells(row, columns) for row in rows]
    if not any(row[-1] for row in cells):
        columns, cells = columns[:-1], [row[:-1] for row in cells]
    fit = layout(columns, cells, width)
    head, *body = lines(columns, [*cells[shown]], fit)
    heads = [columns[at].head for at in fit.columns]
    result = [_line(head, ["bold"] * len(head), width)]
    for row, line in zip(rows[shown], body, strict=True):
        result.append(_line(line, [_style(row, name) for name in heads], width))
    return result


def summary(sums: Totals, shown: int, *, width: int | None = None) -> Line:
    """The fleet in one line, in fewer letters where ``width`` is small."""
    whole = _summary(sums, shown, "  ", f" ({sums.critical} critical)" if sums.critical else "", "incident")
    if width is None or len(whole.plain) <= width:
        return whole
    return _summary(sums, shown, " ", "", "inc").clipped(width)


def _summary(sums: Totals, shown: int, gap: str, critical: str, incident: str) -> Line:
    spans = [Span(f"{shown} of {sums.relays} relays" if shown != sums.relays else counted(sums.relays, "relay"))]
    for number, health in ((sums.failing, Health.FAILING), (sums.unknown, Health.UNKNOWN), (sums.off, Health.OFF)):
        if number or health is Health.FAILING:
            spans.append(Span(f"{number} {health.value.lower()}", STYLES[health] if number else "dim"))
    incidents = f"{sums.incidents} inc" if incident == "inc" else counted(sums.incidents, incident) + critical
    spans.append(Span(incidents, "red" if sums.critical else "yellow" if sums.incidents else "dim"))
    spans.append(Span(f"backlog {count_display(sums.backlog, exact=sums.backlog_exact)}"))
    spans += [Span(f"{count_display(sums.delivered)}/s out"), Span(f"{count_display(sums.arriving)}/s in")]
    return Line(tuple(part for span in spans for part in (span, Span(gap))))


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    known = {
        "NAMESPACE": row.namespace,
        "NAME": row.name,
        STATE: row.state,
        LAG: lag_display(row.lag),
        "BACKLOG": count_display(row.backlog, exact=row.backlog_exact),
        "OUT/S": count_display(row.delivered),
        "IN/S": count_display(row.arriving),
        "PODS": row.pods,
        INCIDENTS: str(len(row.incidents) or "-"),
        POISON: str(row.poison or "-"),
        "TABLE": row.table,
        "TOPIC": row.topic,
        "MESSAGE": row.message,
    }
    return [known[column.head] for column in columns]


def _style(row: Row, head: str) -> str:
    if head == STATE:
        return STYLES[row.health]
    if head == INCIDENTS and row.incidents:
        return "red" if any(item.severity == "Critical" for item in row.incidents) else "yellow"
    if (head == POISON and row.poison) or (head == LAG and row.late and row.health is not Health.OFF):
        return "yellow"
    return "dim" if row.health is Health.OFF or head == "MESSAGE" else ""


def _line(cells: Sequence[str], styles: Sequence[str], width: int | None) -> Line:
    spans: list[Span] = []
    for cell, style in zip(cells, styles, strict=True):
        spans += [Span(" " * GAP), Span(cell, style)] if spans else [Span(cell, style)]
    result = Line(tuple(spans))
    # Where not even the first columns fit.
    return result if width is None else result.clipped(width)
