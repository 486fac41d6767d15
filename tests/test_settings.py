"""The table of settings: where values come from, and how wrong ones are refused."""

from pathlib import Path

import pytest

from underpaint.settings import Settings, SettingsError, load_settings


def test_without_any_source_every_value_is_the_default(tmp_path: Path) -> None:
    effective = load_settings(environ={}, working_dir=tmp_path)

    assert effective.settings == Settings()
    assert set(effective.origins.values()) == {"default"}
    assert effective.origins.keys() == Settings.model_fields.keys()


def test_command_line_outweighs_environment_outweighs_file(tmp_path: Path) -> None:
    (tmp_path / "underpaint.toml").write_text('host = "10.0.0.1"\nport = 1000\nqueue_limit = 5\n')
    environ = {"UNDERPAINT_PORT": "2000", "UNDERPAINT_QUEUE_LIMIT": "6"}

    effective = load_settings({"queue_limit": 7, "threads": None}, environ=environ, working_dir=tmp_path)

    assert (effective.settings.host, effective.settings.port) == ("10.0.0.1", 2000)
    assert effective.settings.queue_limit == 7
    origins = effective.origins
    assert (origins["host"], origins["port"], origins["queue_limit"]) == (
        "file",
        "environment",
        "command line",
    )
    assert origins["threads"] == "default"


def test_the_configuration_file_can_be_named(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text("port = 1234\n")

    effective = load_settings(environ={"UNDERPAINT_CONFIG": str(elsewhere)}, working_dir=tmp_path)

    assert effective.settings.port == 1234


def test_a_named_configuration_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(environ={"UNDERPAINT_CONFIG": str(tmp_path / "none.toml")}, working_dir=tmp_path)


def test_a_malformed_configuration_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "underpaint.toml").write_text("port = = 1\n")

    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(environ={}, working_dir=tmp_path)


@pytest.mark.parametrize(
    ("overrides", "environ", "file", "words"),
    [
        ({"port": 70000}, {}, "", ("port", "command line", "65535")),
        ({}, {"UNDERPAINT_PORT": "many"}, "", ("port", "environment", "integer")),
        ({}, {"UNDERPAINT_COLOUR": "red"}, "", ("colour", "environment")),
        ({}, {}, "colour = 1", ("colour", "file")),
        ({}, {}, 'device = "tpu"', ("device", "file", "cuda")),
        ({}, {"UNDERPAINT_ALIAS": "a:1@1"}, "", ("alias", "environment", "AIR=AIR")),
        ({}, {}, "alias = 5", ("alias", "file", "list")),
        ({}, {}, "fetch_allowed_hosts = 5", ("fetch_allowed_hosts", "file", "list")),
        ({}, {"UNDERPAINT_PUBLIC_URL": "example.com"}, "", ("public_url", "environment")),
        ({"fetch_timeout_s": float("nan")}, {}, "", ("fetch_timeout_s", "command line")),
        ({"result_ttl_s": 59}, {}, "", ("result_ttl_s", "60")),
    ],
)
def test_a_wrong_setting_is_named_together_with_its_origin(
    tmp_path: Path, overrides: dict[str, object], environ: dict[str, str], file: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "underpaint.toml").write_text(file)

    with pytest.raises(SettingsError) as refusal:
        load_settings(overrides, environ=environ, working_dir=tmp_path)

    assert all(word in str(refusal.value) for word in words), str(refusal.value)
    assert "Value error" not in str(refusal.value)


@pytest.mark.parametrize(
    "written",
    [
        "runware:101@1=underpaint:1@2,civitai:1@2=underpaint:1@2",
        ["runware:101@1=underpaint:1@2", "civitai:1@2=underpaint:1@2"],
        {"runware:101@1": "underpaint:1@2", "civitai:1@2": "underpaint:1@2"},
        " runware:101@1 = underpaint:1@2 , civitai:1@2=underpaint:1@2, ",
    ],
)
def test_aliases_can_be_written_as_text_list_or_table(tmp_path: Path, written: object) -> None:
    effective = load_settings({"alias": written}, environ={}, working_dir=tmp_path)

    assert effective.settings.alias == {
        "runware:101@1": "underpaint:1@2",
        "civitai:1@2": "underpaint:1@2",
    }


def test_hosts_can_be_written_as_text_or_list(tmp_path: Path) -> None:
    for written in ("a.example, b.example", ["a.example", "b.example"]):
        effective = load_settings({"fetch_allowed_hosts": written}, environ={}, working_dir=tmp_path)
        assert effective.settings.fetch_allowed_hosts == ("a.example", "b.example")


def test_an_empty_environment_variable_counts_as_not_given(tmp_path: Path) -> None:
    effective = load_settings(environ={"UNDERPAINT_PUBLIC_URL": ""}, working_dir=tmp_path)

    assert effective.settings.public_url is None
    assert effective.origins["public_url"] == "default"


@pytest.mark.parametrize(("written", "value"), [("true", True), ("1", True), ("off", False), ("0", False)])
def test_switches_are_read_from_words(tmp_path: Path, written: str, value: bool) -> None:
    effective = load_settings(environ={"UNDERPAINT_EMBED_PARAMETERS": written}, working_dir=tmp_path)

    assert effective.settings.embed_parameters is value


def test_the_home_folder_can_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    effective = load_settings(environ={"UNDERPAINT_DATA_DIR": "~/pictures"}, working_dir=tmp_path)

    assert effective.settings.data_dir == tmp_path / "pictures"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]
