"""Signed links: good for their picture and their time, and made by nobody else."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.studio import links
from underpaint.studio.links import Links, SignedLinks
from underpaint.studio.signing import SecretsUnreadable
from underpaint.wire import TaskError

UUID = "5160a4c7-6e35-4a11-9c3b-7a2a1d2f9c11"
OTHER = "6160a4c7-6e35-4a11-9c3b-7a2a1d2f9c11"


class Clock:
    now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signed(tmp_path: Path, clock: Clock) -> SignedLinks:
    return SignedLinks(secrets_path=tmp_path / "url-secrets", ttl_s=60, clock=clock)


def parts(url: str) -> dict[str, str]:
    query = parse_qs(urlsplit(url).query)
    return {"expires": query["expires"][0], "signed": query["signature"][0]}


def test_without_the_setting_a_link_is_only_its_name() -> None:
    assert Links().url("http://studio.test", UUID, "png") == f"http://studio.test/images/{UUID}.png"
    assert Links().check(UUID, "png", expires="", signed="") is None


def test_a_link_leads_to_its_picture_until_its_time_is_over(signed: SignedLinks, clock: Clock) -> None:
    url = signed.url("http://studio.test", UUID, "png")
    assert url.startswith(f"http://studio.test/images/{UUID}.png?expires=1700000060&signature=")
    assert signed.check(UUID, "png", **parts(url)) == 60
    clock.now_s += 59
    assert signed.check(UUID, "png", **parts(url)) == 1
    clock.now_s += 1
    with pytest.raises(TaskError, match="expired") as refusal:
        signed.check(UUID, "png", **parts(url))
    assert refusal.value.status_code == 403
    assert signed.check(UUID, "png", **parts(signed.url("", UUID, "png"))) == 60


def test_a_link_leads_to_nothing_else_and_not_for_longer(signed: SignedLinks) -> None:
    link = parts(signed.url("", UUID, "png"))
    for uuid, extension, changes in (
        (OTHER, "png", {}),
        (UUID, "jpg", {}),
        (UUID, "png", {"expires": "9999999999"}),
        (UUID, "png", {"expires": ""}),
        (UUID, "png", {"expires": "\ud800"}),
        (UUID, "png", {"signed": ""}),
        (UUID, "png", {"signed": link["signed"][:-1]}),
        (UUID, "png", {"signed": "\ud800"}),
    ):
        with pytest.raises(TaskError, match="no valid signature"):
            signed.check(uuid, extension, **{**link, **changes})


@given(expires=st.text(), given_signature=st.text())
def test_nothing_made_up_is_taken(
    tmp_path_factory: pytest.TempPathFactory, expires: str, given_signature: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "url-secrets"
    with pytest.raises(TaskError, match="no valid signature"):
        SignedLinks(secrets_path=path, ttl_s=60).check(UUID, "png", expires=expires, signed=given_signature)


def test_secrets_are_changed_while_it_runs(
    signed: SignedLinks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(links, "SECRETS_AGE_S", -1.0)
    path, first = tmp_path / "url-secrets", parts(signed.url("", UUID, "png"))
    old = path.read_text()
    new = "whsec_" + "A" * 43 + "=\n"
    path.write_text(new + old)
    second = parts(signed.url("", UUID, "png"))
    assert first["signed"] != second["signed"]
    for link in (first, second):
        signed.check(UUID, "png", **link)
    path.write_text(new)
    signed.check(UUID, "png", **second)
    with pytest.raises(TaskError, match="no valid signature"):
        signed.check(UUID, "png", **first)
    # A slip of the editor does not take the server's links away.
    path.write_text("oops")
    signed.check(UUID, "png", **second)
    assert "oops" not in caplog.text
    assert "must hold secrets" in caplog.text


def test_a_file_of_something_else_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "url-secrets").write_text("hello")
    with pytest.raises(SecretsUnreadable):
        SignedLinks(secrets_path=tmp_path / "url-secrets", ttl_s=60)
