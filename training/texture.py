"""Statistics of color and texture that tell media apart whatever the picture shows; what the judge sees.

Layout never enters: everything is a share, a mean or a correlation over the whole picture. A small network on
raw pixels learned the palettes of styles in the minutes that a judge may take, and no texture at all; here the
texture is computed, and only the verdict is learned.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from training import fields as f
from training.fields import Field, Float, Picture

STEPS = np.array([1, 2, 4, 8, 14, 24, 40, 64, 100], np.float32)
"""Differences of levels; the share above each says how flat and how sharp a picture is."""

LAGS = (*range(1, 13), 14, 16)
"""Distances in pixels at which gradients are compared: cells, dots and strokes repeat or last."""


def texture_statistics(picture: Picture) -> NDArray[np.float32]:
    """All statistics of a uint8 picture of 64 pixels a side or more, as one vector of about unit scale."""
    values = picture.astype(np.float32)
    red, green, blue = cv2.split(values)
    planes = (f.gray(picture), red - green, (red + green) / 2 - blue)
    parts = [*_difference_shares(planes), *_repeats(planes[0]), _strokes(planes[0]), *_colors(values, planes)]
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)


def _difference_shares(planes: tuple[Field, ...]) -> Iterator[Float]:
    """For luma and two color differences at three scales: logarithms of the shares of neighbor differences, and of
    second differences by sign (dark rims, light lines), above each of ``STEPS``.
    """
    for plane in planes:
        level: Float = plane
        for _ in range(3):
            across, down = np.diff(level, axis=1), np.diff(level, axis=0)
            bend = np.asarray(cv2.Laplacian(level, cv2.CV_32F), np.float32)
            for response in (np.abs(across), np.abs(down), bend, -bend):
                yield _log_shares(response)
            level = np.asarray(
                cv2.resize(level, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32
            )


def _log_shares(response: Field) -> Float:
    shares = np.array([np.count_nonzero(response > step) for step in STEPS]) / response.size
    return np.asarray(np.log10(shares + 1e-3))


def _repeats(level: Field) -> Iterator[Float]:
    """Correlations of luma's gradients with themselves at ``LAGS``, along and across them, signed and unsigned."""
    for turned in (level, level.T):
        gradient = np.diff(turned, axis=1)
        for signal in (gradient, np.minimum(np.abs(gradient), 40)):
            correlations = _correlations(signal)
            yield 2 * np.array([correlations[0, LAGS], correlations[LAGS, 0]])


def _correlations(signal: Field) -> Float:
    """Correlation of a plane with itself, shifted down and across by the index (around the border)."""
    spectrum = np.abs(scipy.fft.rfft2(signal - signal.mean())) ** 2
    shifted = scipy.fft.irfft2(spectrum, signal.shape)
    return np.asarray(shifted / (shifted[0, 0] + 1e-3 * signal.size), np.float32)


def _strokes(level: Field) -> Float:
    """How much the gradients of a neighborhood agree in direction (quantiles at two sizes), and their strength in
    four directions against each other.
    """
    dx, dy = cv2.Sobel(level, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(level, cv2.CV_32F, 0, 1) / 8
    found: list[float] = []
    for sigma_px in (1.5, 4):
        xx, xy, yy = (f.blur(product, sigma_px) for product in (dx * dx, dx * dy, dy * dy))
        coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1)
        found += np.quantile(coherence[::2, ::2], (0.2, 0.5, 0.8)).tolist()
    energy = float((dx**2 + dy**2).mean()) + 1e-3
    found += [float((dx**2 - dy**2).mean()) / energy, float((2 * dx * dy).mean()) / energy]
    return 2 * np.array(found)


def _colors(values: Float, planes: tuple[Field, ...]) -> Iterator[Float]:
    """Histograms of luma, saturation and hue, the mean colors of five bands of luma, and how colors go with luma."""
    luma = planes[0]
    spread = values.max(2) - values.min(2)
    for plane in (luma, spread):
        yield 3 * np.sqrt(np.histogram(plane, 12, (0, 256))[0] / plane.size)
    hue = np.arctan2(planes[2], planes[1])
    weight = np.histogram(hue, 12, (-np.pi, np.pi), weights=spread)[0] / (255 * hue.size)
    yield 3 * np.sqrt(weight)
    bands = np.minimum((luma / 51.2).astype(int), 4).ravel()
    counts = np.maximum(np.bincount(bands, minlength=5), 1)
    for plane in planes[1:]:
        yield np.bincount(bands, plane.ravel(), 5) / counts / 64
    yield np.array([plane.std() / 32 for plane in planes])
