"""What Ray would leave open to everybody on the machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.tune.private_ray import hand_no_keys_on, keep_token_private, make_session_folder, session_folder
from trials.errors import UserError


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where this user's token is; there is none yet."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home" / ".ray" / "auth_token"


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_a_token_is_its_owners_alone_from_the_first_moment_and_is_kept(
    token: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "orchestrator")
    keep_token_private()
    made = token.read_text()
    assert len(made) == 64 and (mode(token), mode(token.parent)) == (0o600, 0o700)
    assert list(token.parent.iterdir()) == [token]
    keep_token_private()
    assert token.read_text() == made and not caplog.messages


def test_a_user_without_a_home_folder_is_asked_for_a_place_of_the_token(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("posixpath.expanduser", str)  # as it is where the system does not know the user either
    with pytest.raises(UserError, match=r"auth_token: HOME is not set.*; set HOME, or RAY_AUTH_TOKEN_PATH to a file"):
        keep_token_private()


def test_a_token_that_ray_wrote_for_everybody_to_read_is_closed_with_a_message(
    token: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "orchestrator")
    token.parent.mkdir(parents=True)
    token.write_text("known")
    token.chmod(0o644)
    keep_token_private()
    assert mode(token) == 0o600 and token.read_text() == "known"
    assert caplog.messages == [f"{token} could be read by others (mode 644); it has mode 600 now"]


@pytest.mark.parametrize(("name", "value"), [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "x")])
def test_where_no_token_is_asked_for_or_one_is_given_none_is_made(
    token: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    keep_token_private()
    assert not token.exists()


def test_a_home_that_cannot_be_written_is_an_error_with_a_way_out(token: Path) -> None:
    token.parent.parent.write_text("a file")
    with pytest.raises(UserError, match=r"auth_token: Ray's token cannot be kept there.*RAY_AUTH_TOKEN_PATH"):
        keep_token_private()


OWN = f"ray-{os.geteuid()}"


@pytest.mark.parametrize(("rights", "around"), [(0o700, ""), (0o755, OWN), (0o1777, OWN)])
def test_sessions_are_below_a_folder_that_keeps_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rights: int, around: str
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    tmp_path.chmod(rights)
    (tmp_path / around).mkdir(exist_ok=True)  # as an older start may have left it
    make_session_folder()
    assert session_folder() == tmp_path / around / "ray"
    assert mode(tmp_path / around) == 0o700 and mode(tmp_path) == rights


def test_a_folder_that_leads_elsewhere_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    tmp_path.chmod(0o1777)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / OWN).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="another user"):
        make_session_folder()


def test_trials_are_given_no_keys_of_the_drivers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.tune.execution import class_cache

    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", set(class_cache.ENV_VARS_TO_PROPAGATE))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    hand_no_keys_on()

    class Trainable:
        pass

    given = class_cache._ActorClassCache().get(Trainable)._default_options["runtime_env"]["env_vars"]
    assert "hush" not in given.values() and given["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
