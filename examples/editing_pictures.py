"""Makes the pictures that examples/editing.toml edits: photographs of one object, and sketches.

    python examples/editing_pictures.py

They are in the repository already; run it to make others.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from generator.tabletop.render import render
from generator.tabletop.scenes import Object, Scene

HERE = Path(__file__).parent / "editing"
SIZE = 128
PHOTOS = {
    "p0000": Object("sphere", "red", "large", "shiny", -0.75, 0.0),
    "p0001": Object("cube", "green", "large", "matte", -0.75, 0.1, 0.5),
    "p0002": Object("cone", "purple", "large", "shiny", -0.75, 0.0),
}
# In each sketch two patches of flat colour: (colour, left, top, right, bottom).
SKETCHES = {
    "p0000": [("#b02525", 12, 35, 58, 81), ("#2540b0", 80, 55, 108, 83)],
    "p0001": [("#209030", 12, 35, 58, 81), ("#c0b020", 80, 55, 108, 83)],
    "p0002": [("#702090", 12, 35, 58, 81), ("#b02525", 80, 55, 108, 83)],
}


def main() -> None:
    """Write photos/ and sketches/ under examples/editing."""
    for name in ("photos", "sketches"):
        (HERE / name).mkdir(parents=True, exist_ok=True)
    scenes = [Scene((thing,), (-2.5, -2.0), (0.42, 0.4, 0.38)) for thing in PHOTOS.values()]
    for name, pixels in zip(PHOTOS, render(scenes, SIZE).numpy(), strict=True):
        Image.fromarray(pixels).save(HERE / f"photos/{name}.png")
    for name, patches in SKETCHES.items():
        sketch = Image.new("RGB", (SIZE, SIZE), "#aca9a5")
        draw = ImageDraw.Draw(sketch)
        for colour, *corners in patches:
            draw.ellipse(corners, fill=colour)
        sketch.save(HERE / f"sketches/{name}.png")


if __name__ == "__main__":
    main()
