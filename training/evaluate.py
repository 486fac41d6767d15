"""Judge a model folder on held-out photos: ``python -m training.evaluate --model DIR --data DIR --out
DIR``.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image

from training import measures
from training.autoencoder import psnr_db, reconstruct, save_comparison
from training.card import model_card
from training.export import image_to_image
from training.fields import Picture
from training.judge import load_or_train_judge, rendered_hits
from training.judging import judged_photos
from training.pictures import SourcePictures
from training.sheets import grid_sheet, render, tile
from training.styles import PROMISED_STYLES

Report = dict[str, object]

PARTS = ("sheets", "autoencoder", "speed", "structure", "color", "styles")


def load_pipeline(folder: Path) -> StableDiffusionImg2ImgPipeline:
    """The model of a folder in float32, ready on the processor."""
    loaded = StableDiffusionImg2ImgPipeline.from_pretrained(folder, dtype=torch.float32)
    loaded.unet.to(memory_format=torch.channels_last)
    loaded.vae.to(memory_format=torch.channels_last)
    return image_to_image(loaded.vae, loaded.text_encoder, loaded.tokenizer, loaded.unet)


def autoencoder_report(
    pipeline: StableDiffusionImg2ImgPipeline, photos: dict[str, Picture], out: Path
) -> Report:
    """Reconstruction quality at 256x256; the bar is a mean of 28 dB."""
    originals = np.stack(list(photos.values()))
    restored = reconstruct(pipeline.vae, originals, torch.device("cpu"))
    ratios = {n: round(psnr_db(a, b), 2) for n, a, b in zip(photos, originals, restored, strict=True)}
    save_comparison(out / "reconstructions.png", originals, restored)
    return {"psnr_db_mean": float(np.mean(list(ratios.values()))), "psnr_db": ratios}


def speed_report(pipeline: StableDiffusionImg2ImgPipeline, photo: Picture) -> Report:
    """Seconds for strength 0.8, 20 steps, CFG 7; the bars are 1.5 s at 256 and 6 s at 512."""
    seconds = {}
    for size_px in (256, 512):
        resized = np.asarray(Image.fromarray(photo).resize((size_px, size_px)))

        def call(resized: Picture = resized) -> object:
            return render(pipeline, resized, "watercolor painting", strength=0.8)

        seconds[str(size_px)] = measures.median_seconds(call, 3, time.perf_counter)
    return {"seconds_warm": seconds, "threads": torch.get_num_threads()}


def style_report(
    pipeline: StableDiffusionImg2ImgPipeline,
    photos: dict[str, Picture],
    data: Path,
    strengths: Sequence[float],
) -> Report:
    """Share of styles that the judge names right (the bars are 90% at 0.8 and 75% at 0.6), beside what it names right
    of the renderers' own pictures; whether guidance acts (90% of pairs); how evenly strength does.
    """
    judge = load_or_train_judge(data / "judge.pt", SourcePictures(data / "sources"), pipeline.vae)
    own = rendered_hits(judge, list(photos.values()), pipeline.vae)
    report: Report = {
        "judge_accuracy": float(np.mean([own[style] for style in PROMISED_STYLES])),
        "judge_by_label": own,
    }
    for strength in strengths:
        hits = measures.style_hits(pipeline, judge, photos, strength)
        report[f"named_right_at_{strength}"] = float(np.mean(list(hits.values())))
        report[f"by_style_at_{strength}"] = hits
    some = dict(list(photos.items())[:4])
    pairs = measures.guidance_pairs(pipeline, judge, some)
    moving = measures.open_pairs(pairs)
    report["guidance_moves_right"] = measures.share_moved(moving)
    report["guidance_pairs"] = {"open": len(moving), "certain_both_times": len(pairs) - len(moving)}
    by_strength = measures.style_by_strength(
        pipeline, judge, some, (0.1, 0.2, 0.3, 0.4), ("watercolor", "oil", "charcoal", "neon")
    )
    report["way_to_0.6_by_strength"] = {strength: way for strength, (way, _) in by_strength.items()}
    report["named_right_by_strength"] = {strength: named for strength, (_, named) in by_strength.items()}
    return report


def structure_report(pipeline: StableDiffusionImg2ImgPipeline, photos: dict[str, Picture]) -> Report:
    """Edge agreement by strength; it should fall, and at 0.5 be 80% of what the renderers keep."""
    strengths = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
    styles = ("watercolor", "oil", "comic", "neon")
    agreement, rendered = measures.structure_by_strength(pipeline, photos, strengths, styles)
    return {"edge_agreement": agreement, "renderers": rendered, "kept_at_0.5": agreement[0.5] / rendered}


def color_report(pipeline: StableDiffusionImg2ImgPipeline, photos: dict[str, Picture]) -> Report:
    """Negative prompts (90% of pairs should move right), color cast at 0.1, clipping from CFG 1 to 15 beside that of
    the photos themselves.
    """
    pairs = measures.negative_prompt_pairs(pipeline, photos)
    casts = measures.color_casts(pipeline, photos)
    report: Report = {
        "negative_moves_right": measures.share_moved(pairs),
        "negative_levels": float(np.mean([before - after for before, after in pairs])),
        "color_cast_levels": max(casts),
        "color_cast_levels_mean": float(np.mean(casts)),
        "clipped_in_photos": float(np.mean([measures.clipped_share(p) for p in photos.values()])),
    }
    for scale in (1.0, 7.0, 15.0):
        made = [render(pipeline, p, "oil painting", strength=0.7, guidance=scale) for p in photos.values()]
        report[f"clipped_at_cfg_{scale:g}"] = float(np.mean([measures.clipped_share(p) for p in made]))
    return report


def contact_sheets(pipeline: StableDiffusionImg2ImgPipeline, photos: dict[str, Picture], out: Path) -> None:
    """``styles.png``: photos by styles at strength 0.7; ``strengths.png``: one style a row, strength 0 to
    1.
    """
    rows = []
    for name, photo in photos.items():
        made = [render(pipeline, photo, prompt, strength=0.7) for prompt in measures.STYLE_PROMPTS.values()]
        labels = measures.STYLE_PROMPTS.values()
        rows.append([tile(photo, name), *(tile(p, text) for p, text in zip(made, labels, strict=True))])
    Image.fromarray(grid_sheet(rows)).save(out / "styles.png")
    rows = []
    strengths = np.linspace(0, 1, 11)
    for photo, prompt in zip(photos.values(), measures.STYLE_PROMPTS.values(), strict=False):
        made = [render(pipeline, photo, prompt, strength=float(strength)) for strength in strengths]
        rows.append([tile(p, f"{prompt} {s:.1f}") for p, s in zip(made, strengths, strict=True)])
    Image.fromarray(grid_sheet(rows)).save(out / "strengths.png")


def main(words: Sequence[str] | None = None) -> None:
    """Run all reports and write ``report.json``, the model card ``card.md`` and the sheets."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--data", type=Path, required=True, help="the folder given to training as --out")
    parser.add_argument("--out", type=Path, required=True, help="where the report and the sheets go")
    parser.add_argument("--photos", type=int, default=20, help="how many held-out photos (default: all 20)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="what to report (default: everything)"
    )
    given = parser.parse_args(words)
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    pipeline = load_pipeline(given.model)
    photos = dict(list(judged_photos(given.data / "downloads", 256).items())[: given.photos])
    ten = dict(list(photos.items())[:10])
    parts: dict[str, Callable[[], Report]] = {
        "autoencoder": lambda: autoencoder_report(pipeline, photos, given.out),
        "speed": lambda: speed_report(pipeline, next(iter(photos.values()))),
        "structure": lambda: structure_report(pipeline, dict(list(photos.items())[:5])),
        "color": lambda: color_report(pipeline, dict(list(photos.items())[:5])),
        "styles": lambda: style_report(pipeline, photos, given.data, (0.8, 0.6)),
    }
    report: dict[str, Report] = {}
    if "sheets" in given.parts:
        contact_sheets(pipeline, ten, given.out)
    for name, part in parts.items():
        if name not in given.parts:
            continue
        report[name] = part()
        print(json.dumps({name: report[name]}), flush=True)
        (given.out / "report.json").write_text(json.dumps(report, indent=1))
    (given.out / "card.md").write_text(model_card(report))


if __name__ == "__main__":
    main()
