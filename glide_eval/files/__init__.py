"""Reading and writing files: images, TOML, tables, run folders."""

from __future__ import annotations

from .archives import holds_pictures, unpacked
from .arrays import read_npz
from .cluster import RAY_ATTEMPTS, ray_cluster, ray_workers
from .columns import column, columns, described, read_csv, to_csv
from .embedded import EMBEDDED, embedded_caption
from .folders import ImageFolder, list_images, walk_images
from .images import FORMATS, IMAGE_SUFFIXES, center_crop, decode, decode_rgb, read_file, read_rgb
from .locks import Held, held, is_held
from .partial import PART, left_behind, partial_path
from .paths import inside
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
from .progress import progress
from .publish import FarEnd, pull, push
from .reading import file_sha256, parse_json, read_whole
from .records import Arm, Prompt, Sample
from .run_store import (
    RunFolder,
    replacing,
    require_listed,
    sample_bytes,
    sample_place,
    subfolder,
    write_bytes,
    write_text,
)
from .share import Share
from .tables import read_lines, read_table
from .toml import parsed, read_text
from .toml_messages import describe, nearest
from .toml_table import Name, Table, Text
from .user_files import cache_dir, find_weights
from .words import count, duration, some

__all__ = [
    "EMBEDDED",
    "FORMATS",
    "IMAGE_SUFFIXES",
    "PART",
    "RAY_ATTEMPTS",
    "Arm",
    "FarEnd",
    "Held",
    "ImageFolder",
    "Mask",
    "Name",
    "Picture",
    "Prompt",
    "RunFolder",
    "Sample",
    "Share",
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
    "decode",
    "decode_rgb",
    "describe",
    "described",
    "duration",
    "embedded_caption",
    "encode_png",
    "file_sha256",
    "find_weights",
    "fit_mask",
    "fit_picture",
    "held",
    "holds_pictures",
    "inside",
    "is_held",
    "known_from",
    "left_behind",
    "list_images",
    "nearest",
    "parse_json",
    "parsed",
    "partial_path",
    "progress",
    "pull",
    "push",
    "ray_cluster",
    "ray_workers",
    "read_csv",
    "read_file",
    "read_lines",
    "read_mask",
    "read_npz",
    "read_picture",
    "read_rgb",
    "read_table",
    "read_text",
    "read_whole",
    "replacing",
    "require_listed",
    "sample_bytes",
    "sample_place",
    "some",
    "subfolder",
    "to_csv",
    "unpacked",
    "walk_images",
    "write_bytes",
    "write_text",
]
