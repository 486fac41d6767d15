import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from underpaint.catalog import (
    EMBEDDED,
    AliasError,
    Catalog,
    CatalogError,
    ModelListUnreadable,
    ModelNotInstalled,
    ModelNotRunnable,
    NewModel,
    SearchQuery,
    UnknownModel,
    describe,
)
from underpaint.catalog.embedded_entry import ALWAYS_THERE
from underpaint.settings import Settings

from .weights import sd_single_file, write_safetensors

RUNNABLE = {"sd1x": frozenset({"base"}), "sd2x": frozenset({"base"})}


def catalog(data_dir: Path, alias: Mapping[str, str] | None = None) -> Catalog:
    return Catalog(Settings(data_dir=data_dir, alias=dict(alias or {})), RUNNABLE)


def install(data_dir: Path, air: str, **said: str) -> Path:
    """Add a small Stable Diffusion 1.x file under an identifier."""
    path = write_safetensors(data_dir / f"{air.replace(':', '-')}.safetensors", sd_single_file())
    catalog(data_dir).installed.add(describe(NewModel(air=air, source=str(path), **said)))  # type: ignore[arg-type]
    return path


def install_hub_model(data_dir: Path, air: str, architecture: str) -> None:
    new = NewModel(air=air, source="someone/a-model", architecture=architecture)
    catalog(data_dir).installed.add(describe(new))


def test_the_embedded_model_is_always_there(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text("damaged")
    entry = catalog(tmp_path).resolve("underpaint:1@2")
    assert entry is EMBEDDED
    assert entry.files is not None
    assert (Path(entry.files.location) / "MODEL_CARD.md").is_file()


def test_an_embedded_model_of_an_earlier_release_is_refused_with_the_name_of_its_successor(
    tmp_path: Path,
) -> None:
    with pytest.raises(UnknownModel, match=r"underpaint:1@2 has taken its place.*--alias"):
        catalog(tmp_path).resolve("underpaint:1@1")
    aliases = {"underpaint:1@1": EMBEDDED.air}
    assert catalog(tmp_path, aliases).resolve("underpaint:1@1") is EMBEDDED


def test_an_installed_model_resolves_in_either_form_of_its_identifier(tmp_path: Path) -> None:
    server = catalog(tmp_path)
    path = install(tmp_path, "civitai:1@2")
    for air in ("civitai:1@2", "urn:air:sd1:checkpoint:civitai:1@2"):
        entry = server.resolve(air)
        assert entry.files is not None
        assert entry.files.location == str(path)


def test_an_alias_answers_with_the_target_and_its_defaults(tmp_path: Path) -> None:
    assert catalog(tmp_path, {"runware:101@1": "underpaint:1@2"}).resolve("runware:101@1") is EMBEDDED


def test_aliases_can_be_chained_and_be_any_text(tmp_path: Path) -> None:
    aliases = {"bfl-flux-1-dev": "runware:101@1", "runware:101@1": "urn:air:x:checkpoint:civitai:7@8"}
    install(tmp_path, "civitai:7@8")
    server = catalog(tmp_path, aliases | {"civitai:7@8": "underpaint:1@2"})
    assert server.resolve("bfl-flux-1-dev") is EMBEDDED
    assert catalog(tmp_path, aliases).resolve("bfl-flux-1-dev").air == "civitai:7@8"


@pytest.mark.parametrize(
    "aliases",
    [
        {"a:1@1": "a:1@1"},
        {"a:1@1": "b:1@1", "b:1@1": "a:1@1"},
        {"x": "a:1@1", "a:1@1": "b:1@1", "b:1@1": "c:1@1", "c:1@1": "a:1@1"},
        {"civitai:1@1": "urn:air:sd1:checkpoint:civitai:1@1"},
    ],
)
def test_aliases_in_a_circle_are_an_error_at_start(tmp_path: Path, aliases: dict[str, str]) -> None:
    with pytest.raises(AliasError, match=r"in a circle: .* -> "):
        catalog(tmp_path, aliases)


def test_an_alias_to_no_identifier_is_an_error_at_start(tmp_path: Path) -> None:
    with pytest.raises(AliasError, match=r"alias a:1@1 leads nowhere.*'flux'"):
        catalog(tmp_path, {"a:1@1": "flux"})


@pytest.mark.parametrize(
    ("air", "error", "message"),
    [
        ("flux", UnknownModel, "'flux' is not a model identifier"),
        ("nobody:1@1", UnknownModel, "underpaint models add nobody:1@1 FOLDER_OR_FILE.*--alias nobody:1@1="),
        (
            "runware:101@1",
            ModelNotInstalled,
            r"FLUX.1 \[dev\].*: underpaint models add runware:101@1 black-forest-labs/FLUX.1-dev .*license: FLUX",
        ),
        (
            "civitai:987@654",
            ModelNotInstalled,
            r"https://civitai.com/models/987\?modelVersionId=654, then: underpaint models add civitai:987@654 FILE",
        ),
        (
            "runware:55@6",
            ModelNotInstalled,
            r"get the file models/ip-adapter-plus_sd15.safetensors .* and the image encoder beside it, from "
            "https://huggingface.co/h94/IP-Adapter, then: underpaint models add runware:55@6 FILE",
        ),
        ("runware:120@2", ModelNotInstalled, "underpaint models add runware:120@2 FOLDER_OR_FILE"),
    ],
)
def test_a_model_that_is_not_here_is_refused_with_the_way_to_get_it(
    tmp_path: Path, air: str, error: type[CatalogError], message: str
) -> None:
    with pytest.raises(error, match=message):
        catalog(tmp_path).resolve(air)


def test_the_embedded_model_is_offered_in_place_of_a_checkpoint_only(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"underpaint models add nobody:1@1 FOLDER_OR_FILE$"):
        catalog(tmp_path).resolve("nobody:1@1", "lora")


def test_an_alias_to_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ModelNotInstalled, match=r"runware:100@1, which is to answer to my:1@1, .*is not installed"
    ):
        catalog(tmp_path, {"my:1@1": "runware:100@1"}).resolve("my:1@1")


def test_an_architecture_without_code_is_refused_with_those_that_have_some(tmp_path: Path) -> None:
    install_hub_model(tmp_path, "test:1@1", "qwen_image")
    with pytest.raises(
        ModelNotRunnable, match="is installed, but this version cannot run qwen_image yet; it runs sd1x, sd2x"
    ):
        catalog(tmp_path).resolve("test:1@1")


def test_an_inpainting_checkpoint_is_refused_until_the_engine_says_that_it_runs_them(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "fill.safetensors", sd_single_file(in_channels=9))
    catalog(tmp_path).installed.add(describe(NewModel(air="test:1@1", source=str(path))))
    with pytest.raises(ModelNotRunnable, match="type inpainting"):
        catalog(tmp_path).resolve("test:1@1")
    settings = Settings(data_dir=tmp_path)
    inpainting = {"sd1x": {"base", "inpainting"}}
    assert Catalog(settings, inpainting).resolve("test:1@1").type == "inpainting"


def test_a_lora_is_no_checkpoint(tmp_path: Path) -> None:
    path = write_safetensors(
        tmp_path / "style.safetensors", {"lora_unet_attn2_to_k.lora_down.weight": (4, 768)}
    )
    catalog(tmp_path).installed.add(describe(NewModel(air="test:1@1", source=str(path))))
    with pytest.raises(ModelNotRunnable, match="is a lora, not a checkpoint"):
        catalog(tmp_path).resolve("test:1@1")
    assert catalog(tmp_path).resolve("test:1@1", "lora").category == "lora"
    only_checkpoints = Catalog(Settings(data_dir=tmp_path), RUNNABLE, categories={"checkpoint"})
    with pytest.raises(ModelNotRunnable, match="cannot use a lora yet"):
        only_checkpoints.resolve("test:1@1", "lora")


def test_missing_files_are_an_error_that_names_no_path(tmp_path: Path) -> None:
    install(tmp_path, "test:1@1").unlink()
    with pytest.raises(ModelNotInstalled, match="files are missing") as caught:
        catalog(tmp_path).resolve("test:1@1")
    assert str(tmp_path) not in str(caught.value)


def test_a_hub_model_that_is_not_downloaded_is_refused_only_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    install_hub_model(tmp_path, "test:1@1", "sd1x")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert catalog(tmp_path).resolve("test:1@1").hub_id == "someone/a-model"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotInstalled, match="someone/a-model; it has not been downloaded"):
        catalog(tmp_path).resolve("test:1@1")


def test_a_damaged_list_is_an_error_for_other_models(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text("damaged")
    with pytest.raises(ModelListUnreadable, match="damaged"):
        catalog(tmp_path).resolve("test:1@1")


def test_the_list_has_what_ships_the_installed_models_and_the_aliases(tmp_path: Path) -> None:
    install(tmp_path, "test:1@1")
    install_hub_model(tmp_path, "test:2@1", "qwen_image")
    server = catalog(tmp_path, {"runware:101@1": "underpaint:1@2", "runware:100@1": "test:9@9"})
    entries = {entry.air: entry for entry in server.list()}
    assert list(entries) == [*ALWAYS_THERE, "test:1@1", "test:2@1", "runware:101@1"]
    assert entries["runware:101@1"].comment.startswith("Alias: underpaint:1@2 answers to it.")
    assert entries["runware:101@1"].files == EMBEDDED.files
    problems = {air for air, entry in entries.items() if server.problem(entry) is not None}
    assert problems == {"test:2@1"}


def test_search_finds_only_what_a_request_could_name_now(tmp_path: Path) -> None:
    install(tmp_path, "test:1@1")
    install(tmp_path, "test:2@1").unlink()
    install_hub_model(tmp_path, "test:3@1", "qwen_image")
    server = catalog(tmp_path, {"runware:101@1": "underpaint:1@2"})
    total, found = server.search(SearchQuery())
    assert (total, {entry.air for entry in found}) == (5, {*ALWAYS_THERE, "test:1@1", "runware:101@1"})
    for entry in found:
        assert server.resolve(entry.air, entry.category).files == entry.files


def test_an_alias_hides_the_model_of_the_same_identifier(tmp_path: Path) -> None:
    install(tmp_path, "test:1@1", name="Hidden")
    server = catalog(tmp_path, {"test:1@1": "underpaint:1@2"})
    names = [entry.name for entry in server.list() if entry.category == "checkpoint"]
    assert names == ["Underpaint", "Underpaint"]


def test_importing_the_catalog_loads_no_machine_learning_library() -> None:
    code = "import sys, underpaint.catalog; print({'torch', 'diffusers', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
