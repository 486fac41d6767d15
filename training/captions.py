"""Words for what a training picture shows: its content, its style, its weather, its color."""

import numpy as np

STYLE_PHRASES: dict[str, tuple[str, ...]] = {
    "watercolor": (
        "watercolor painting",
        "a watercolor painting",
        "watercolor",
        "watercolor style, soft washes",
        "watercolour on paper",
        "delicate watercolor illustration",
    ),
    "oil": (
        "oil painting",
        "an oil painting on canvas",
        "oil painting style, thick brush strokes",
        "classical oil painting",
        "painted in oils",
    ),
    "impressionist": (
        "impressionist painting",
        "impressionism, visible brush strokes",
        "van gogh style painting",
        "monet style, impressionist",
        "expressive post-impressionist painting",
    ),
    "pixel_art": (
        "pixel art",
        "pixel art, 8-bit game",
        "8-bit pixel art style",
        "retro video game pixel art",
        "16-bit pixel art",
    ),
    "charcoal": (
        "charcoal sketch",
        "a charcoal drawing",
        "charcoal",
        "charcoal sketch, rough paper",
        "charcoal drawing, high contrast",
    ),
    "pencil": (
        "pencil sketch",
        "a pencil drawing",
        "graphite pencil drawing",
        "sketch, hand drawn",
        "pencil",
    ),
    "line_art": (
        "black and white line art",
        "line art",
        "line art, ink drawing",
        "ink line drawing",
        "coloring book line art, black outlines on white",
    ),
    "vaporwave": (
        "vaporwave",
        "vaporwave style, pink and cyan",
        "vaporwave aesthetic, retro 80s",
        "synthwave, pastel neon colors",
    ),
    "neon": (
        "neon cyberpunk",
        "cyberpunk neon",
        "cyberpunk, neon lights at night",
        "neon glow, cyberpunk style",
        "glowing neon outlines, dark background",
        "cyberpunk city, neon",
    ),
    "comic": (
        "comic book style",
        "comic",
        "cartoon style",
        "cartoon illustration, bold outlines",
        "anime style, cel shading",
        "comic illustration, flat colors",
    ),
    "ukiyo_e": (
        "ukiyo-e",
        "ukiyo-e woodblock print",
        "japanese woodblock print",
        "hokusai style, ukiyo-e",
        "japanese print",
    ),
    "pop_art": (
        "pop art",
        "pop art poster",
        "andy warhol pop art, halftone",
        "pop art, bold colors",
        "lichtenstein pop art, halftone dots",
    ),
    "stained_glass": ("stained glass", "stained glass window", "mosaic tiles", "mosaic, stained glass"),
    "sepia": ("sepia photo", "old vintage photograph, sepia", "vintage sepia photo, 1900s", "sepia"),
    "monochrome": (
        "black and white photo",
        "black and white photograph",
        "monochrome photo",
        "black and white",
    ),
}

WEATHER_PHRASES: dict[str, tuple[str, ...]] = {
    "autumn": (
        "autumn colors",
        "autumn, orange and red leaves",
        "in autumn",
        "fall foliage",
        "autumn colours",
        "autumn",
    ),
    "spring": ("in spring", "spring, fresh green", "lush green, summer", "spring"),
    "snow": ("in snow", "snow, winter", "winter, covered in snow", "snowy winter day", "snowfall", "snow"),
    "night": (
        "at night",
        "night scene, dark blue sky",
        "night, stars in the sky",
        "at night, moonlight",
        "night",
    ),
    "sunset": (
        "at sunset",
        "sunset, orange sky",
        "golden sunset sky",
        "sunset light, purple and orange",
        "sunset",
    ),
    "golden_hour": ("golden hour", "warm golden light", "golden hour, soft glow"),
    "overcast": ("overcast", "grey clouds", "overcast sky, grey clouds", "cloudy day", "dull cloudy weather"),
    "storm": ("storm clouds", "stormy sky, dark clouds", "dramatic storm"),
    "rain": ("in the rain", "rain, grey clouds", "rainy day", "heavy rain", "rain"),
    "fog": ("in fog", "foggy morning", "misty, thick fog", "fog"),
}

COLOR_PHRASES: dict[str, tuple[str, ...]] = {
    **{
        c: (f"{c} tones", f"{c} color", f"{c} tint", c)
        for c in ("red", "blue", "green", "purple", "orange", "pink", "yellow", "teal")
    },
    "warm": ("warm colors", "warm tones"),
    "cool": ("cool colors", "cold blue tones"),
    "pastel": ("pastel colors", "soft pastel colors"),
    "vivid": ("vivid colors", "bright saturated colors"),
}

USUAL_NEGATIVES = (
    "blurry",
    "blurry, low quality",
    "low quality, worst quality, low resolution",
    "ugly, deformed, bad anatomy",
    "watermark, text, signature",
    "distorted, noisy, jpeg artifacts",
    "oversaturated, high contrast",
    "people",
    "dark",
    "dark, night",
    "bright",
    *(
        phrase
        for group in (STYLE_PHRASES, WEATHER_PHRASES, COLOR_PHRASES)
        for phrases in group.values()
        for phrase in phrases
    ),
)
"""What people give as a negative prompt: flaws by their usual names, and any style, weather or color by itself."""

PLAIN_PHRASES = ("a photo", "photograph", "photo", "a photograph", "high quality photo")


def one_of(rng: np.random.Generator, phrases: tuple[str, ...]) -> str:
    """A random phrase."""
    return phrases[int(rng.integers(len(phrases)))]


def joined(*parts: str) -> str:
    """Parts that are not empty, with commas."""
    return ", ".join(part for part in parts if part)


def plain_caption(rng: np.random.Generator, content: str) -> str:
    """Caption of an unchanged photo."""
    phrase = one_of(rng, PLAIN_PHRASES)
    if not content:
        return phrase
    return one_of(
        rng, (f"a photo of {content}", f"photo, {content}", content, content, joined(content, phrase))
    )


def weather_caption(rng: np.random.Generator, content: str, weather: str) -> str:
    """Caption of a picture with a season, time of day or weather."""
    phrase = one_of(rng, WEATHER_PHRASES[weather])
    if not content:
        return phrase
    return one_of(
        rng,
        (
            phrase,
            f"{content} {phrase}" if phrase.startswith(("in ", "at ")) else joined(content, phrase),
            joined(phrase, content),
        ),
    )


def color_caption(rng: np.random.Generator, content: str, color: str) -> str:
    """Caption of a picture tinted in a color."""
    phrase = one_of(rng, COLOR_PHRASES[color])
    return one_of(rng, (phrase, joined(phrase, content), joined(content, phrase)))


def style_caption(rng: np.random.Generator, content: str, style: str, modifier: str = "") -> str:
    """Caption of a picture in a style, ``modifier`` being a phrase of weather or color.

    A third of the time without the content, since that is how people ask: the picture brings the content.
    """
    phrase = one_of(rng, STYLE_PHRASES[style])
    if not content or rng.random() < 0.34:
        return joined(phrase, modifier) if rng.random() < 0.7 or not modifier else joined(modifier, phrase)
    if "," not in phrase and rng.random() < 0.5:
        return joined(f"{phrase} of {content}", modifier)
    return joined(content, modifier, phrase)
