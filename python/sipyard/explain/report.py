"""A story as people and programs read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from sipyard.explain.story import Block, Change, Packet, Step, Story

_MARGIN = " " * 7


def as_text(story: Story) -> str:
    """Line by line, with the script's line numbers on the left."""
    lines = [f"from {story.source}:  {story.request}"]
    lines += [f"note: {note}" for note in story.notes]
    for event in story.events:
        lines += ["", *(_block(event) if isinstance(event, Block) else _packet(event))]
    if not any(isinstance(event, Packet) and event.is_sent for event in story.events):
        lines += ["", "nothing is sent"]
    return "\n".join(lines) + "\n"


def as_data(story: Story) -> dict[str, Any]:
    """For `--json`: each event with its `type`, times in seconds since the request was sent."""
    data = asdict(story)
    for event, source in zip(data["events"], story.events, strict=True):
        event["type"] = "block" if isinstance(source, Block) else "sent" if source.is_sent else "received"
        event.pop("is_sent", None)
    return data


def _block(block: Block) -> Iterator[str]:
    yield f"{block.title}  {block.about}".rstrip()
    title = block.title
    for step in block.steps:
        if step.block != title:
            yield f"{_MARGIN}{step.block}:"
        title = step.block
        yield from _step(step)
    if block.error:
        yield f"{_MARGIN}failed: {block.error}"


def _step(step: Step) -> Iterator[str]:
    yield f"{step.line:5}  {step.text}"
    for value in step.values:
        because = f"   ({value.because})" if value.because else ""
        shown = "" if value.text == step.text and not because else f"{value.text} "
        yield f"{_MARGIN}  = {value.value}" if not shown else f"{_MARGIN}  {shown}= {value.value}{because}"
    for change in step.changes:
        yield f"{_MARGIN}  {_change(change)}"
    for note in step.notes:
        yield f"{_MARGIN}  {note}"


def _change(change: Change) -> str:
    if change.before is None:
        return f"{change.what}: {change.after}"
    if change.after is None:
        return f"{change.what}: none any more (was {change.before})"
    return f"{change.what}: {change.before} -> {change.after}"


def _packet(packet: Packet) -> Iterator[str]:
    where = f"{packet.address}" + (f" ({packet.host})" if packet.host else "")
    is_answer = packet.first_line.startswith("SIP/2.0 ")
    verb = ("answered to" if is_answer else "sent to") if packet.is_sent else "received from"
    yield f"{verb} {where}:  {packet.first_line}"
    for line in packet.removed:
        yield f"{_MARGIN}- {line}"
    for line in packet.added:
        yield f"{_MARGIN}+ {line}"
