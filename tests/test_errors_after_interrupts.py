"""Whatever fails after Ctrl-C fails because of it, and is reported as such."""

from __future__ import annotations

import signal

import pytest

from merge import cli


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_fails_after_an_interrupt_is_an_interrupt(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stumble(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise RecursionError("numpy is half made") from None

    monkeypatch.setattr(cli.typer.main, "get_command", lambda _: type("Command", (), {"main": stumble}))
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    assert cli.main(["inspect"]) == 130
    assert capsys.readouterr().err == "merge: interrupted; nothing half-written is left\n"
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_error_without_one_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise RecursionError("for once its own")

    monkeypatch.setattr(cli.typer.main, "get_command", lambda _: type("Command", (), {"main": stumble}))
    assert cli.main(["inspect"]) == 1
    assert "RecursionError" in capsys.readouterr().err
