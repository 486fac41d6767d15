"""Fetch the packages of the manifest, check them, and prepare the pictures inside them.

``prepare`` leaves one folder that training reads: ``photos/NNN.png`` with at most 768 pixels on the short
side, ``panoramas/NNN.npy`` (tone-mapped equirectangular, uint8), ``drawings.npz`` and ``pictures.json``
with captions.
"""

import base64
import hashlib
import io
import json
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import OpenEXR  # type: ignore[import-not-found,unused-ignore]
import resvg_py
from PIL import Image

from training.archives import Archive, SourceError
from training.fields import Float, Picture
from training.manifest import DRAWINGS, PACKAGES, PHOTOS, Drawings, Package, Photo

SHORT_SIDE_PX = 768
DRAWING_PX = 176

UNWANTED_NAMES = re.compile(
    r"flag|^.$|button|arrow|o-?clock|zodiac|keycap|regional|tone|-sign|symbol|square|circle|medal|letter|input|person|man\b"
    r"|light$|dark$|medium|woman|people|famil|men-|couple|kiss|hand|finger|prohibited|no-|mark|japanese|stick|alphabet|icon|logo|skin|boy|girl"
)
"""Drawings that show signs and text rather than things, or people in many near-equal variants."""

CLIPART_FOLDERS = (
    "animals",
    "plants",
    "food",
    "buildings",
    "transportation/vehicles",
    "transportation/boating",
    "geography/astronomy",
)


def fetch(package: Package, folder: Path) -> Path:
    """Download one package with its registry's own client, unless it is there already, and check its hash.

    Raises:
        SourceError: The client failed, or the archive's hash differs from the manifest's.
    """
    archive = folder / package.file
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = {
            "debian": ["apt-get", "download", "-q", f"{package.name}={package.version}"],
            "npm": ["npm", "pack", "--silent", f"{package.name}@{package.version}"],
            "pypi": [
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary=:all:",
                "--python-version",
                "3.11",
                "--platform",
                "manylinux2014_x86_64",
                "--platform",
                "manylinux_2_24_x86_64",
                "--platform",
                "manylinux_2_28_x86_64",
                f"{package.name}=={package.version}",
            ],
        }[package.registry]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode or not archive.exists():
            raise SourceError(
                f"{package.registry} package {package.name} {package.version}: {done.stderr[-500:]}"
            )
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != package.sha256:
        raise SourceError(f"{archive.name}: sha256 is {found}, the manifest says {package.sha256}")
    return archive


def decode_photo(photo: Photo, content: bytes) -> Picture:
    """Pixels of a photo as RGB, shrunk to ``SHORT_SIDE_PX`` on its short side."""
    if photo.path.endswith("face.dat"):
        import bz2

        pixels = np.frombuffer(bz2.decompress(content), np.uint8).reshape(768, 1024, 3)
        image = Image.fromarray(pixels)
    else:
        image = Image.open(io.BytesIO(content)).convert("RGB")
    scale = SHORT_SIDE_PX / min(image.size)
    if scale < 1:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image)


def decode_panorama(content: bytes) -> Picture:
    """Tone-mapped pixels of an equirectangular OpenEXR panorama (base64 in JavaScript is unwrapped first)."""
    if content.startswith(b"export default"):
        wrapped = re.search(rb"base64,([^\"'`]+)", content)
        if wrapped is None:
            raise SourceError("a panorama module without base64 content")
        content = base64.b64decode(wrapped.group(1))
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(content)
        file.flush()
        channels = OpenEXR.File(file.name).channels()
        joined = [name for name in channels if name in {"RGB", "RGBA"}]
        planes = (
            channels[joined[0]].pixels[..., :3]
            if joined
            else np.stack([channels[c].pixels for c in "RGB"], -1)
        )
        light: Float = np.asarray(planes, np.float32).copy()
    exposed = light / max(float(np.percentile(light, 75)), 1e-4) * 0.42
    curve = np.clip(exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14), 0, 1)
    return np.asarray(curve ** (1 / 2.2) * 255, np.uint8)


def render_drawing(svg: str) -> Picture | None:
    """RGBA pixels of an SVG, at most ``DRAWING_PX`` a side and cut to what is opaque; None where it shows
    nothing.
    """
    try:
        png = resvg_py.svg_to_bytes(svg_string=svg, width=DRAWING_PX)
        image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    except (ValueError, OSError):
        return None
    image.thumbnail((DRAWING_PX, DRAWING_PX))
    box = image.getchannel("A").point(lambda a: 255 if a > 24 else 0).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 24:
        return None
    return np.asarray(image.crop(box))


def spoken(name: str) -> str:
    """A file name as words: ``Red_apple-02`` becomes ``red apple``."""
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return re.sub(r"\s+", " ", re.sub(r"[^A-Za-z]+", " ", words)).strip().lower()


SIGNATURES = frozenset(
    [
        "architetto",
        "archite",
        "francesco",
        "franc",
        "rollandi",
        "ro",
        "nicu",
        "buculei",
        "mateya",
        "gerald",
        "g",
        "ganson",
        "johnny",
        "automatic",
        "jonathan",
        "dietrich",
        "steren",
        "liftarn",
        "valessiobrito",
        "yves",
        "guillou",
        "bw",
        "pitr",
        "benoit",
        "petit",
        "bas",
        "tanguy",
        "jaime",
    ]
)
"""Draughtsmen's names inside clip art file names: credited in the package, not part of a caption."""


def with_article(noun: str) -> str:
    """``apple`` as ``an apple``."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def iconify_svgs(content: bytes) -> list[tuple[str, str]]:
    """(name, SVG) of every drawing of an Iconify set that shows a thing."""
    icons = json.loads(content)
    side = icons.get("width", 16), icons.get("height", icons.get("width", 16))
    found = []
    for name, icon in icons["icons"].items():
        if icon.get("hidden") or UNWANTED_NAMES.search(name):
            continue
        width, height = icon.get("width", side[0]), icon.get("height", side[1])
        head = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            f' viewBox="0 0 {width} {height}">'
        )
        found.append((name, f"{head}{icon['body']}</svg>"))
    return found


def load_drawings(drawings: Drawings, archive: Archive, limit: int) -> list[tuple[str, Picture]]:
    """(caption, RGBA picture) of at most ``limit`` drawings of a set, evenly picked."""
    if drawings.path.endswith(".json"):
        named = iconify_svgs(archive.read(drawings.path))
    else:
        paths = [p for sub in CLIPART_FOLDERS for p in archive.names(f"{drawings.path}/{sub}", ".svg")]
        paths = [
            p
            for p in paths
            if not UNWANTED_NAMES.search(Path(p).stem.lower()) and len(spoken(Path(p).stem)) > 2
        ]
        named = [(Path(p).stem, "") for p in paths]
        files = dict(zip((n for n, _ in named), paths, strict=True))
    picked = [named[i * len(named) // limit] for i in range(limit)] if len(named) > limit else named
    found = []
    for name, svg in picked:
        if not svg:
            content = archive.read(files[name])
            if len(content) > 400_000:
                continue
            svg = content.decode("utf-8", "replace")
        picture = render_drawing(svg)
        words = [word for word in spoken(name).split() if word not in SIGNATURES][:3]
        if picture is not None and words:
            found.append((with_article(" ".join(words)), picture))
    return found


def prepare(downloads: Path, folder: Path, drawings_a_set: int = 700) -> None:
    """Fetch everything and write the folder that ``SourcePictures`` reads; does nothing where it is
    complete.
    """
    index = folder / "pictures.json"
    if index.exists():
        return
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    (folder / "panoramas").mkdir(exist_ok=True)
    archives: dict[str, Archive] = {}

    def opened(key: str) -> Archive:
        if key not in archives:
            archives[key] = Archive(fetch(PACKAGES[key], downloads))
        return archives[key]

    entries = []
    for number, photo in enumerate(PHOTOS):
        content = opened(photo.package).read(photo.path)
        if photo.kind == "panorama":
            file = f"panoramas/{number:03}.npy"
            np.save(folder / file, decode_panorama(content))
        else:
            file = f"photos/{number:03}.png"
            Image.fromarray(decode_photo(photo, content)).save(folder / file)
        entries.append({"file": file, "caption": photo.caption, "kind": photo.kind})
    captions: list[str] = []
    arrays: dict[str, Picture] = {}
    for drawings in DRAWINGS:
        for caption, picture in load_drawings(drawings, opened(drawings.package), drawings_a_set):
            arrays[f"{len(captions):05}"] = picture
            captions.append(caption)
    np.savez_compressed(folder / "drawings.npz", allow_pickle=False, **arrays)
    index.write_text(json.dumps({"pictures": entries, "drawings": captions}, indent=1))
