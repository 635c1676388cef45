"""The W3C trace context of the current OpenTelemetry span."""

import sys


def current_traceparent() -> str | None:
    """``00-<trace id>-<span id>-<flags>``, or None where there is no span.

    Nothing is imported: who has a span has imported OpenTelemetry before.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
