"""Reading and writing files: images, TOML, tables, run folders."""

from __future__ import annotations

from .columns import column, columns, described, read_csv, to_csv
from .images import IMAGE_SUFFIXES, center_crop, decode_rgb, list_images, read_file, read_rgb
from .locks import held
from .pictures import (
    Mask,
    Picture,
    box_mask,
    check_box,
    fit_mask,
    fit_picture,
    known_from,
    read_mask,
    read_picture,
)
from .png import centre_square, encode_png
from .records import Arm, Prompt, Sample
from .run_store import RunFolder, replacing, write_bytes, write_text
from .tables import read_lines, read_table
from .toml import parsed, read_text
from .toml_messages import describe, nearest
from .toml_table import Name, Table, Text
from .user_files import cache_dir, find_weights
from .words import count, duration, some

__all__ = [
    "IMAGE_SUFFIXES",
    "Arm",
    "Mask",
    "Name",
    "Picture",
    "Prompt",
    "RunFolder",
    "Sample",
    "Table",
    "Text",
    "box_mask",
    "cache_dir",
    "center_crop",
    "centre_square",
    "check_box",
    "column",
    "columns",
    "count",
    "decode_rgb",
    "describe",
    "described",
    "duration",
    "encode_png",
    "find_weights",
    "fit_mask",
    "fit_picture",
    "held",
    "known_from",
    "list_images",
    "nearest",
    "parsed",
    "read_csv",
    "read_file",
    "read_lines",
    "read_mask",
    "read_picture",
    "read_rgb",
    "read_table",
    "read_text",
    "replacing",
    "some",
    "to_csv",
    "write_bytes",
    "write_text",
]
