"""What is installed is what is here: the wheel that is built of the project."""

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    package = REPOSITORY / "src" / "underpaint"
    here = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--quiet")
    built = subprocess.run(
        [*command, "--wheel-dir", str(tmp_path), str(REPOSITORY)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if name.startswith("underpaint/")}

    assert packed == here
    for needed in ("lora-1/blueprint.safetensors", "ip-1/image_encoder/model.safetensors"):
        assert f"underpaint/embedded/additions/{needed}" in packed
