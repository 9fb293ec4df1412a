"""The prompts that other programs write into the images they make.

Read are what Automatic1111's interface and its descendants write (`parameters`), ComfyUI's graph
(`prompt`), and the description fields of EXIF and XMP.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from PIL import ExifTags, Image

from .images import FORMATS, read_file

EMBEDDED = "embedded"  # in place of a captions file: the images hold their captions
_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
_ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_ENDS = ("Negative prompt:", "Steps:")  # begin the lines after an Automatic1111 prompt
_TEXTS = ("text", "text_g", "text_l", "t5xxl", "prompt", "string", "value")  # of ComfyUI's nodes


def embedded_caption(path: Path) -> str:
    """Return the prompt that an image file holds, in one line; "" if it holds none.

    Of a ComfyUI graph it is the text that reaches a sampler as `positive`; a graph with several
    such texts holds none, since nothing says which made the image.

    Raises:
        ImageError: the file is missing, or can't be read.
    """
    content = read_file(path)
    try:
        with Image.open(io.BytesIO(content), formats=tuple(FORMATS)) as image:
            found = next(filter(None, _candidates(image)), "")
    except Exception:  # damaged bytes may raise anything; whoever decodes the image says more
        return ""
    return " ".join(found.split())


def _candidates(image: Image.Image) -> Iterator[str]:
    """Yield what may be the prompt, the surest first."""
    yield _before_settings(_text(image, "parameters"))
    yield _of_graph(_text(image, "prompt"))
    exif = image.getexif()
    comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    yield _before_settings(_user_comment(comment))
    yield _of_xmp(image.info.get("xmp") or _text(image, "XML:com.adobe.xmp"))
    yield str(exif.get(ExifTags.Base.ImageDescription, ""))
    yield _text(image, "Description")


def _text(image: Image.Image, key: str) -> str:
    value = image.info.get(key, "")
    return value if isinstance(value, str) else ""


def _before_settings(text: str) -> str:
    """Return the prompt that an Automatic1111 record begins with; "" of other text."""
    lines = text.splitlines()
    ends = [number for number, line in enumerate(lines) if line.startswith(_ENDS)]
    return "\n".join(lines[: ends[0]]) if ends else ""


def _user_comment(value: object) -> str:
    """Return EXIF's user comment, whose first eight bytes name its encoding."""
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else ""
    if value.startswith(b"UNICODE\0"):
        # EXIF leaves the order of bytes to the file; prompts begin with letters of Latin more often
        # than not, and a wrong order gives no line that begins as a record's must.
        texts = [value[8:].decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
        return next((text for text in texts if any(end in text for end in _ENDS)), "")
    return value[8:].decode("utf-8", "replace") if value[:8].strip(b"\0") in (b"ASCII", b"") else ""


def _of_graph(text: str) -> str:
    try:
        graph: dict[str, Any] = json.loads(text)
        nodes = {str(key): dict[str, Any](node["inputs"]) for key, node in graph.items()}
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        return ""
    found = {
        prompt
        for inputs in nodes.values()
        if "positive" in inputs and "negative" in inputs
        for prompt in _reached(nodes, inputs["positive"], frozenset())
    }
    return found.pop() if len(found) == 1 else ""


def _reached(nodes: Mapping[str, Any], value: Any, seen: frozenset[str]) -> Iterator[str]:
    """Yield the texts that a node's input comes from; a link is [node, number of its output]."""
    if isinstance(value, str):
        if value.strip():
            yield value
        return
    node = _linked(value)
    inputs: Mapping[str, Any] = nodes.get(node, {})
    if node in seen:
        return
    further = seen | {node}
    named = [name for name in _TEXTS if name in inputs]
    # A node without a text of its own passes on what it is linked to, but never what is avoided.
    links = named or [name for name in inputs if "negative" not in name]
    for name in links:
        if named or isinstance(inputs[name], list):
            yield from _reached(nodes, inputs[name], further)


def _linked(value: Any) -> str:
    """Return the node that a link names; "" if the value is no link."""
    return str(value[0]) if isinstance(value, list) and value else ""  # pyright: ignore


def _of_xmp(xmp: object) -> str:
    """Return XMP's dc:description, the first of its languages."""
    if not xmp or not isinstance(xmp, bytes | str):
        return ""
    # Here, since a server of studies reads no such files and has no such package.
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        tree = fromstring(xmp)
    except (ParseError, DefusedXmlException, ValueError):
        return ""
    items = (item.text for each in tree.iter(_DESCRIPTION) for item in each.iter(_ITEM))
    return next((text for text in items if text), "")
